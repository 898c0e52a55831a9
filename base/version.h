/* SPDX-License-Identifier: Apache-2.0 */
/* version.h - the version of this source tree (semantic versioning). */
#ifndef WHARF_BASE_VERSION_H
#define WHARF_BASE_VERSION_H

#define WHARF_VERSION "0.1.0"

#endif

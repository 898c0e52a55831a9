/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ps_fields.h - what `wharf ps --format` may ask of a container's row.
 */
#ifndef WHARF_CMD_CLIENT_PS_FIELDS_H
#define WHARF_CMD_CLIENT_PS_FIELDS_H

#include "cmd/client/template.h"

extern const struct template_field ps_fields[];

#endif

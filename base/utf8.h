/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h - texts that came as bytes: names of files, output, arguments.
 */
#ifndef WHARF_BASE_UTF8_H
#define WHARF_BASE_UTF8_H

/* JSON, and with it the log, carries UTF-8 only: in a text that is not, every byte beyond ASCII becomes '?',
 * in place. */
void utf8_or_ascii(char *text);

#endif

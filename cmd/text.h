/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * text - figures, times and tables for people.
 */
#ifndef CMD_TEXT_H
#define CMD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* "0 B", "999 B", "1.0 KiB", "12 MiB": three figures at most below 1000. */
void text_bytes(uint64_t bytes, char out[16]);

/* "0.3 ms", "45 ms", "1.2 s", "75 s" */
void text_microseconds(uint64_t us, char out[16]);

/* "2026-01-31T23:59:59Z" to "2026-01-31 23:59:59" in local time; "?" when it is anything else. */
void text_local_time(const char *rfc3339, char out[32]);

/* "90s", "15m", "36h", "14d", "2w", or a time as sbatch --time has it (15, 1-12, 1:30:00), to seconds;
 * false when it is neither or over ten years. */
bool text_parse_age(const char *text, uint32_t *seconds);

/* Rows of `columns` cells, header first. Cells are copied and made safe for a terminal. */
struct text_table;
struct text_table *text_table_create(size_t columns);
void text_table_destroy(struct text_table *t); /* NULL is fine, errno kept */
/* The next cell, row by row; -1 without memory. */
int text_table_add(struct text_table *t, const char *cell);
/* Columns as wide as needed, two blanks between; columns set in `right` (bit 0: first) flush right.
 */
void text_table_print(const struct text_table *t, unsigned right, FILE *to);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * conf_key - the keys of checkpoint.conf, and what each takes as its value.  Not for others: conf.h is the interface.
 */
#ifndef COMMON_CONF_KEY_H
#define COMMON_CONF_KEY_H

#include "common/conf.h"

#include <stdbool.h>
#include <stddef.h>

#define CONF_KEYS_MAX 64

struct conf_key;

const struct conf_key *
conf_key_find(const char *name); /* whatever the case of its letters; NULL: unknown */
size_t conf_key_index(const struct conf_key *key); /* below CONF_KEYS_MAX */
const char *conf_key_name(const struct conf_key *key);

/* Takes the value into *c; -1 with a text that names the key. */
int conf_key_set(const struct conf_key *key, const char *value, struct conf *c, struct err *err);

/* Absolute, without ".." and control characters. */
bool conf_path_ok(const char *s);
bool conf_text_ok(const char *s); /* without control characters */

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * journal - what happened to a task's checkpoints, for the node's log, with the job in fields of their own.
 *
 * Told by the keeper: its words are root's facts and what dump and restore answered.  To systemd's journal in its
 * native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/: datagrams of KEY=value lines), else to /dev/log as
 * syslog has it, the fields in the text.  spank-checkpoint(8) lists the fields.
 */
#ifndef SPANK_JOURNAL_H
#define SPANK_JOURNAL_H

#include "common/facts.h"
#include "common/proto.h"

#include <stdbool.h>
#include <stddef.h>

/* Never waits; nothing happens when nobody listens.  facts->event_socket: a socket that takes the native protocol, in
 * place of both. */
void journal_tell(const struct facts *f, const struct proto_reply *reply);

/* What is sent: the length, 0 for what is no event.  `native`: the journal's protocol, else syslog's. */
size_t journal_format(const struct facts *f, const struct proto_reply *reply, bool native,
                      char *out, size_t size);

#endif

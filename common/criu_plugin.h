/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * criu_plugin - what our two plugins for CRIU share: the descriptor's layout is that of CRIU's plugin interface 0.2.
 *
 * CRIU refuses a plugin with more hooks than it knows itself: a plugin sets max_hooks to what it needs.
 */
#ifndef COMMON_CRIU_PLUGIN_H
#define COMMON_CRIU_PLUGIN_H

enum criu_plugin_stage { CRIU_STAGE_DUMP = 0, CRIU_STAGE_RESTORE = 2 };
enum criu_plugin_hook { CRIU_HOOK_RESUME_DEVICES_LATE = 9, CRIU_HOOK_CHECKPOINT_DEVICES = 11 };
#define CRIU_PLUGIN_HOOKS 12
#define CRIU_PLUGIN_VERSION (2u << 8) /* 0.2.0 */

struct plugin_desc {
    const char *name;
    int (*init)(int stage);
    void (*exit)(int stage, int ret);
    unsigned version;
    unsigned max_hooks;
    void *hooks[CRIU_PLUGIN_HOOKS];
};

extern struct plugin_desc CR_PLUGIN_DESC;

#endif

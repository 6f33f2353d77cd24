/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/jobnote.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "[checkpoint "

/* From its bracket to *end, which is behind the other one, or the comment's end where that was cut off; NULL: none. */
static const char *find(const char *comment, const char **end)
{
    const char *note = comment;

    /* A time follows: the owner may write of checkpoints as well. */
    while ((note = strstr(note, MARK)) && !isdigit((unsigned char)note[strlen(MARK)]))
        note++;
    if (!note)
        return NULL;
    *end = strchr(note, ']');
    *end = *end ? *end + 1 : note + strlen(note);
    return note;
}

/* Takes the note out of a comment, and the blanks around it. */
static void take_out(char *comment)
{
    const char *end, *found = find(comment, &end);
    char *note = comment + (found ? found - comment : 0);

    if (!found)
        return;
    while (note > comment && note[-1] == ' ')
        note--;
    if (note == comment || !*end)
        end += strspn(end, " ");
    memmove(note, end, strlen(end) + 1);
}

char *jobnote_put(const char *comment, const char *when, const char *text)
{
    char *own = strdup(comment), *all = NULL;

    if (!own)
        return NULL;
    take_out(own);
    if (asprintf(&all, "%s%s" MARK "%s: %s]", own, *own ? " " : "", when, text) < 0)
        all = NULL;
    if (all)
        for (char *at = all + strlen(own); *at && at[1]; at++)
            if (*at == ']')
                *at = ')';
    free(own);
    return all;
}

void jobnote_get(const char *comment, char *note, size_t size)
{
    const char *end, *at = find(comment, &end);

    *note = '\0';
    if (!at)
        return;
    at += strlen(MARK);
    snprintf(note, size, "%.*s", (int)(end - at - (end[-1] == ']')), at);
}

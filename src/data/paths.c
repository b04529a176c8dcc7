/* paths.c -- lists of files: paths and patterns separated by commas.
 *
 * The files of a pattern are sorted by their bytes, in no locale; the parts of a list stay in the
 * order given. A name that is a file is that file, whatever characters it holds.
 *
 * Called by h5.c, on the root, whose answer all ranks use. */
#include "data/dataset.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct list {
    char *text;
    size_t bytes, room;
} list;

static ls_status add(list *l, const char *path, size_t length, ls_failure *f)
{
    if (l->bytes + length + 1 > l->room) {
        size_t room = 2 * (l->room + length + 1);
        char *grown = ls_memory_new(room);
        if (!grown) return ls_failure_memory(f, room, "a list of files");
        if (l->bytes > 0) memcpy(grown, l->text, l->bytes);
        ls_memory_free(l->text);
        l->text = grown;
        l->room = room;
    }
    memcpy(l->text + l->bytes, path, length);
    l->text[l->bytes + length] = '\0';
    l->bytes += length + 1;
    return LS_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ls_status add_pattern(list *l, const char *pattern, ls_failure *f)
{
    glob_t found = { 0 };
    int answer = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    if (answer == GLOB_NOMATCH)
        ls_failure_set(f, LS_ERR_INPUT, "no file is named like %s", pattern);
    else if (answer == GLOB_NOSPACE)
        ls_failure_memory(f, (found.gl_pathc + 1) * sizeof(char *),
                          "the list of files named like %s", pattern);
    else if (answer != 0)
        ls_failure_set(f, LS_ERR_IO, "a directory cannot be read to find the files named like %s",
                       pattern);
    if (f->status == LS_OK) qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), by_bytes);
    for (size_t i = 0; i < found.gl_pathc && !f->status; i++)
        add(l, found.gl_pathv[i], strlen(found.gl_pathv[i]), f);
    globfree(&found);
    return f->status;
}

static bool is_plain(const char *text, const char *special)
{
    return access(text, F_OK) == 0 || !strpbrk(text, special);
}

static ls_status add_item(list *l, const char *item, const char *text, ls_failure *f)
{
    if (*item == '\0')
        return ls_failure_set(f, LS_ERR_ARG, "\"%s\": the name of a file is empty", text);
    return is_plain(item, "*?[") ? add(l, item, strlen(item), f) : add_pattern(l, item, f);
}

ls_status ls_paths_find(const char *text, char **out, size_t *bytes, ls_failure *f)
{
    list l = { 0 };
    *out = NULL;
    *bytes = 0;
    char *copy = strdup(text);
    if (!copy) return ls_failure_memory(f, strlen(text) + 1, "a list of files");
    if (is_plain(text, ",")) add_item(&l, text, text, f);
    else
        for (char *rest = copy, *item; !f->status && (item = strsep(&rest, ",")) != NULL;)
            add_item(&l, item, text, f);
    free(copy);
    if (f->status) ls_memory_free(l.text);
    else *out = l.text, *bytes = l.bytes;
    return f->status;
}

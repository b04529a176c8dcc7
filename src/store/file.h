/* file.h -- regular files for the rest of store: opened with care, written whole, and how names and
 * sizes stand in messages. No HDF5 here.
 *
 *   file.c   texts, reading          output.c   a file under a temporary name, directories */
#pragma once
#include "store/store.h"

/* ---- texts for messages: ls_show(path).text -------------------------------------------------- */
typedef struct ls_shown { char text[160]; } ls_shown;
ls_shown ls_show(const char *name); /* control characters escaped; of a long name, begin and end */
ls_shown ls_show_size(uint64_t bytes);                       /* "2.7 MB" */
ls_shown ls_show_shape(int ndim, const int64_t *dim);        /* "[60000, 784]" */

/* ---- reading --------------------------------------------------------------------------------- */
/* The descriptor of a regular file, and its size; -1: INPUT, DATA for what is no regular file, IO. */
int ls_input_open(const char *path, int64_t *bytes, ls_failure *f);
/* That path cannot be opened for an error of the system's that is no word on the file: IO. */
ls_status ls_input_unopened(const char *path, int error, ls_failure *f);
/* All the bytes from a position on, or IO. */
ls_status ls_input_read(int fd, const char *path, int64_t at, void *out, size_t bytes, ls_failure *f);
void      ls_input_close(int fd); /* -1 is fine */

/* ---- writing --------------------------------------------------------------------------------- */
enum { LS_PATH_BYTES = 4096 };
#define LS_OUTPUT_MARK ".tmp-"
/* A file that is written under a temporary name, ".NAME.tmp-HOST-PID", or without one. Where a call fails,
 * the file is gone already and fd is -1. */
typedef struct ls_output {
    int         fd;
    const char *what; /* "checkpoint": for messages */
    ls_shown    place; /* the directory: for messages */
    char        dir[LS_PATH_BYTES];
    char        path[LS_PATH_BYTES]; /* "": it has no name */
    char        between[LS_PATH_BYTES]; /* of one without */
} ls_output;
ls_status ls_output_open(ls_output *o, const char *dir, const char *name, const char *what, ls_failure *f);
/* The same without a name where the file system can do that: it ends with this process, however that ends. Where
 * not, what dead processes of this host have left of that name goes first. For reading as well. */
ls_status ls_output_open_nameless(ls_output *o, const char *dir, const char *name, const char *what, ls_failure *f);
/* The file will have so many bytes: what does not fit is known before anything is written. */
ls_status ls_output_reserve(ls_output *o, int64_t bytes, ls_failure *f);
ls_status ls_output_write(ls_output *o, int64_t at, const void *data, size_t bytes, ls_failure *f);
ls_status ls_output_close(ls_output *o, ls_failure *f); /* on disk, still under its temporary name, or without */
/* Gives a closed file its name, in the same directory, on disk; one that has it is replaced, or that is OUTPUT. */
ls_status ls_output_name(ls_output *o, const char *path, bool replaces, ls_failure *f);
void      ls_output_drop(ls_output *o);
/* Whether a temporary file, its name given from ".tmp-" on, is one whose process, on this host, is no
 * more. */
bool ls_output_is_stale(const char *mark);

/* dir/name into path; OUTPUT where it is too long. dir "" is the current directory. */
ls_status ls_path_join(char path[LS_PATH_BYTES], const char *dir, const char *name, ls_failure *f);
bool      ls_path_is_there(const char *path); /* something of that name, if only a link to nowhere */
ls_status ls_folder_sync(const char *dir, ls_failure *f);

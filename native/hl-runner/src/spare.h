/* Empty folders that are handed on instead of being removed and made again. Some file systems make both dear: ext4 without a journal uses no inode again
 * within a minute and looks at each of them when it makes the next one, and a mount with `discard` tells the disk of each removed folder before it goes on. */
#ifndef HL_SPARE_H
#define HL_SPARE_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes the folder `name` in `parent`, of a spare one where there is any. False with errno as mkdir has it. */
bool spare_make(int parent, const char *name, mode_t mode);

/* Removes the folder `name` from `parent`, if it is empty. It becomes a spare one when it is as if it had just been made: what its user has changed
 * about it (its mode, attributes, flags) must not be the next one's. False with errno as rmdir has it. */
bool spare_remove(int parent, const char *name, mode_t mode);

/* The same for absolute paths. */
bool spare_make_path(const char *path, mode_t mode);
bool spare_remove_path(const char *path, mode_t mode);

#endif

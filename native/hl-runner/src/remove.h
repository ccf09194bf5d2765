/* Removes a folder with all it holds, whatever a program made of it: never through a link, never into another mount, never outside, and with a
 * handful of descriptors and no recursion at any depth. */
#ifndef HL_REMOVE_H
#define HL_REMOVE_H

/* The folder `name` (one component) in the open folder `parent`. 0 when it is gone or was not there, else the errno of what could not be removed
 * (the rest is removed all the same); ENOTDIR when it is no folder, which is then left alone. Whoever writes there must have ended before. */
int remove_folder_at(int parent, const char *name);

/* The same for an absolute path. Links in the way to the folder are followed, the folder itself must be none; EINVAL for a path that ends in no name. */
int remove_folder(const char *path);

#endif

/* Becomes a program that can talk to systemd through an inherited descriptor. */
#ifndef HL_LAUNCH_H
#define HL_LAUNCH_H

/* Connects a datagram socket to $NOTIFY_SOCKET, says its number in HL_NOTIFY_FD, takes NOTIFY_SOCKET away and executes argv[0] with the
 * same pid, so that NotifyAccess=main holds. Without NOTIFY_SOCKET it only executes. Returns an exit code when it could not. */
int launch(char **argv);

#endif

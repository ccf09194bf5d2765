/* The terminal (PTY) that a program runs in: the shim keeps the master, the program has the slave as 0, 1, 2 and as its controlling terminal.
 *
 * States: none → connected ⇄ hung (no process has the slave open: reading says EIO). A hung terminal counts as an output at its end (P4), but the
 * master stays open as long as the shim lives: closing it would send SIGHUP to a program that has only let go of its descriptors, and what opens
 * /dev/tty again connects it again. Like a pipe's read end the master is never given to the program. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "shim.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

bool terminal_open(uint64_t rows, uint64_t columns, int ends[2]) {
  int unlocked = 0;
  const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (master < 0) return false;
  int slave = -1;
  struct termios modes;
  /* TIOCGPTPEER finds the slave without its path, in whatever mount namespace we are. */
  if (ioctl(master, TIOCSPTLCK, &unlocked) == 0) slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  bool good = slave >= 0 && ioctl(master, TIOCSWINSZ, &size) == 0 && tcgetattr(slave, &modes) == 0;
  if (good) {
    /* As terminal emulators do: erasing in line mode takes a whole character of UTF-8, not its last byte. */
    modes.c_iflag |= IUTF8;
    good = tcsetattr(slave, TCSANOW, &modes) == 0;
  }
  if (!good) {
    const int error = errno;
    if (slave >= 0) close(slave);
    close(master);
    errno = error;
    return false;
  }
  ends[0] = master;
  ends[1] = slave;
  return true;
}

/* One descriptor is read and written, so one registration says both. Once hung it would be ready for ever: then only changes are told. */
void terminal_watch(struct shim *shim) {
  const uint32_t writing = input_waits(shim) ? EPOLLOUT : 0u;
  shim_watch(shim, EPOLL_CTL_MOD, shim->terminal, EPOLLIN | writing | (shim->terminal_hung ? EPOLLET : 0u), SOURCE_TERMINAL);
}

void terminal_set_hung(struct shim *shim, bool hung) {
  if (shim->terminal_hung == hung) return;
  shim->terminal_hung = hung;
  terminal_watch(shim);
}

void terminal_resize(struct shim *shim, uint64_t rows, uint64_t columns) {
  if (shim->terminal < 0) {
    shim->refusal_due = "RESIZE: the program has no terminal";
  } else if (!terminal_size_is_good(rows) || !terminal_size_is_good(columns)) {
    shim->refusal_due = "RESIZE: rows or columns is not 1 to 65535";
  } else {
    const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    /* The kernel sends SIGWINCH to the foreground, and only where the size has changed. */
    if (ioctl(shim->terminal, TIOCSWINSZ, &size) != 0) shim->refusal_due = "RESIZE: the kernel refuses";
  }
}

/* What a user would type to end the input; nothing where the program has switched that key off. Terminals have no other end of input. */
bool terminal_type_eof(struct shim *shim) {
  struct termios modes;
  if (tcgetattr(shim->terminal, &modes) != 0 || modes.c_cc[VEOF] == _POSIX_VDISABLE) return true;
  /* In the middle of a line the key only hands over the line so far; typed again it is the end. */
  const unsigned char keys[2] = {modes.c_cc[VEOF], modes.c_cc[VEOF]};
  const size_t count = shim->input.mid_line && (modes.c_lflag & ICANON) != 0 ? 2 : 1;
  ssize_t wrote;
  do wrote = write(shim->terminal, keys, count);
  while (wrote < 0 && errno == EINTR);
  if (wrote < 0 && errno == EAGAIN) return false;
  shim->input.mid_line = false;
  return true;
}

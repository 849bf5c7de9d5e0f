/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A byte stream between two domains, for C. The head of src/lib.rs says what each function does
 * where that is more than its name. Link with -lvchan.
 */
#ifndef LIBVCHAN_H
#define LIBVCHAN_H

#include <stdbool.h>
#include <stddef.h>

#define VCHAN_DISCONNECTED 0
#define VCHAN_CONNECTED 1
#define VCHAN_WAITING 2

typedef int EVTCHN;
typedef struct libvchan libvchan_t;

/* NULL on failure. */
libvchan_t *libvchan_server_init(int domain, int port, size_t read_min, size_t write_min);
libvchan_t *libvchan_client_init(int domain, int port);
libvchan_t *libvchan_client_init_async(int domain, int port, EVTCHN *watch_fd);
/* 0: connected; 1: not yet; -1: failed. */
int libvchan_client_init_async_finish(libvchan_t *ctrl, bool blocking);

/* Bytes, or -1. */
int libvchan_write(libvchan_t *ctrl, const void *data, size_t size);
int libvchan_send(libvchan_t *ctrl, const void *data, size_t size);
int libvchan_read(libvchan_t *ctrl, void *data, size_t size);
int libvchan_recv(libvchan_t *ctrl, void *data, size_t size);
int libvchan_data_ready(libvchan_t *ctrl);
int libvchan_buffer_space(libvchan_t *ctrl);

int libvchan_wait(libvchan_t *ctrl);
void libvchan_close(libvchan_t *ctrl);
EVTCHN libvchan_fd_for_select(libvchan_t *ctrl);
int libvchan_is_open(libvchan_t *ctrl);

#endif

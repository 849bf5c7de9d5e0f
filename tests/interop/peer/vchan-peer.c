// SPDX-License-Identifier: GPL-3.0-or-later
// The other side of the vchan tests: the same conversation as `vchan-peer talk`, spoken by
// libxenvchan's own code. Statically linked, so that it runs in any guest.
//
//   vchan-peer-c server|client DOMAIN PORT all|linger BYTES ROUNDS
#include <errno.h>
#include <libxenvchan.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenstore.h>

static struct libxenvchan *channel;
static size_t bytes;
static unsigned char block[1 << 16];

static void fail(const char *what) {
    fprintf(stderr, "vchan-peer-c: %s (%s)\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

// The byte at a place of the stream that `speaker` sends; as in talk.rs.
static unsigned char pattern(uint64_t at, uint64_t speaker) {
    return ((at + speaker) * 0x9e3779b97f4a7c15u) >> 56;
}

static void write_all(const void *data, size_t length) {
    const char *at = data;
    while (length) {
        int n = libxenvchan_write(channel, at, length);
        if (n <= 0) fail("write");
        at += n;
        length -= n;
    }
}

static void read_all(void *data, size_t length) {
    char *at = data;
    while (length) {
        int n = libxenvchan_read(channel, at, length);
        if (n <= 0) fail("read");
        at += n;
        length -= n;
    }
}

static void say(uint64_t speaker) {
    for (size_t sent = 0; sent < bytes;) {
        size_t n = bytes - sent < sizeof block ? bytes - sent : sizeof block;
        for (size_t i = 0; i < n; i++) block[i] = pattern(sent + i, speaker);
        write_all(block, n);
        sent += n;
    }
}

static void hear(uint64_t speaker) {
    for (size_t got = 0; got < bytes;) {
        size_t n = bytes - got < sizeof block ? bytes - got : sizeof block;
        int count = libxenvchan_read(channel, block, n);
        if (count <= 0) fail("read");
        for (int i = 0; i < count; i++)
            if (block[i] != pattern(got + i, speaker)) fail("a byte differs");
        got += count;
    }
}

static void await_end(void) {
    char byte;
    int n;
    while ((n = libxenvchan_read(channel, &byte, 1)) > 0) fail("more bytes than agreed");
    if (libxenvchan_is_open(channel)) fail("the channel is still open");
    printf("gone\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: vchan-peer-c server|client DOMAIN PORT all|linger BYTES ROUNDS\n");
        return 2;
    }
    int server = !strcmp(argv[1], "server"), domain = atoi(argv[2]), rounds = atoi(argv[6]);
    bytes = strtoull(argv[5], NULL, 10);
    struct xs_handle *store = xs_open(0);
    unsigned int length;
    char *own = store ? xs_read(store, XBT_NULL, "domid", &length) : NULL;
    if (!own) fail("who am I");
    char path[128];
    if (server) {
        snprintf(path, sizeof path, "/local/domain/%s/data/vchan/%d/%s", own, domain, argv[3]);
        channel = libxenvchan_server_init(NULL, domain, path, 65536, 65536);
        if (!channel) fail("server_init");
    } else {
        snprintf(path, sizeof path, "/local/domain/%d/data/vchan/%s/%s", domain, own, argv[3]);
        channel = libxenvchan_client_init(NULL, domain, path);
        if (!channel) fail("client_init");
    }
    channel->blocking = 1;
    // A byte each way, so that both sides are there and the client was woken once.
    char byte = 'h';
    write_all(&byte, 1);
    read_all(&byte, 1);
    if (!strcmp(argv[4], "linger")) {
        const char *met = getenv("VCHAN_PEER_MET");
        FILE *file = met ? fopen(met, "w") : NULL;
        if (file) fclose(file);
        await_end();
        return 0;
    }
    if (server) {
        double begun = now();
        hear(1);
        double heard = now();
        write_all(&byte, 1);
        double asked = now();
        say(2);
        read_all(&byte, 1);
        double said = now();
        for (int i = 0; i < rounds; i++) {
            write_all(&byte, 1);
            read_all(&byte, 1);
        }
        double end = now();
        printf("{\"in_mb_s\":%.3f,\"out_mb_s\":%.3f,\"round_trip_us\":%.1f}\n", bytes / (heard - begun) / 1e6,
               bytes / (said - asked) / 1e6, (end - said) / rounds * 1e6);
        fflush(stdout);
    } else {
        say(1);
        read_all(&byte, 1);
        hear(2);
        write_all(&byte, 1);
        for (int i = 0; i < rounds; i++) {
            read_all(&byte, 1);
            write_all(&byte, 1);
        }
        await_end();
    }
    libxenvchan_close(channel);
    return 0;
}

// Counts what a process does to the world outside, and kills it before the n-th such effect.
//
// Preloaded into spot by tests/kill_points.rs. An effect is a request to the endpoint on EFFECTS_PORT, an
// answer received from it, and every write, truncation, fsync, rename, link and removal of a regular file.
// EFFECTS_FILE is a file of eight bytes that all threads and the test share: the number of effects so far.
// EFFECTS_KILL_AT is the number of the effect that does not happen any more; 0 kills nobody.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic unsigned long *count;
static unsigned long kill_at;
static int port;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("EFFECTS_FILE"), *at = getenv("EFFECTS_KILL_AT"), *to = getenv("EFFECTS_PORT");
    if (!file || !at || !to) return;
    kill_at = strtoul(at, NULL, 10);
    port = atoi(to);
    int descriptor = open(file, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) abort();
    void *shared = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (shared == MAP_FAILED) abort();
    count = shared;
    // What spot starts is not spot.
    unsetenv("LD_PRELOAD");
}

static void effect(void) {
    if (count && atomic_fetch_add(count, 1) + 1 == kill_at) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
}

static int is_endpoint(int descriptor) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    if (!count || getpeername(descriptor, (struct sockaddr *)&peer, &size) != 0) return 0;
    return peer.sin_family == AF_INET && ntohs(peer.sin_port) == port;
}

static int is_file(int descriptor) {
    struct stat stat;
    return count && fstat(descriptor, &stat) == 0 && S_ISREG(stat.st_mode);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int descriptor, const void *bytes, size_t size) {
    REAL(write);
    if (is_file(descriptor) || is_endpoint(descriptor)) effect();
    return real(descriptor, bytes, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    REAL(writev);
    if (is_file(descriptor) || is_endpoint(descriptor)) effect();
    return real(descriptor, parts, number);
}

ssize_t send(int descriptor, const void *bytes, size_t size, int flags) {
    REAL(send);
    if (is_endpoint(descriptor)) effect();
    return real(descriptor, bytes, size, flags);
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
    REAL(sendmsg);
    if (is_endpoint(descriptor)) effect();
    return real(descriptor, message, flags);
}

// An answer counts once it is there, before spot has seen it.
ssize_t recv(int descriptor, void *bytes, size_t size, int flags) {
    REAL(recv);
    ssize_t got = real(descriptor, bytes, size, flags);
    if (got > 0 && is_endpoint(descriptor)) effect();
    return got;
}

ssize_t read(int descriptor, void *bytes, size_t size) {
    REAL(read);
    ssize_t got = real(descriptor, bytes, size);
    if (got > 0 && is_endpoint(descriptor)) effect();
    return got;
}

ssize_t readv(int descriptor, const struct iovec *parts, int number) {
    REAL(readv);
    ssize_t got = real(descriptor, parts, number);
    if (got > 0 && is_endpoint(descriptor)) effect();
    return got;
}

int fsync(int descriptor) {
    REAL(fsync);
    effect();
    return real(descriptor);
}

int fdatasync(int descriptor) {
    REAL(fdatasync);
    effect();
    return real(descriptor);
}

int ftruncate64(int descriptor, off64_t size) {
    REAL(ftruncate64);
    effect();
    return real(descriptor, size);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    effect();
    return real(from, to);
}

int renameat2(int in, const char *from, int into, const char *to, unsigned flags) {
    REAL(renameat2);
    effect();
    return real(in, from, into, to, flags);
}

int linkat(int in, const char *from, int into, const char *to, int flags) {
    REAL(linkat);
    effect();
    return real(in, from, into, to, flags);
}

int unlink(const char *path) {
    REAL(unlink);
    effect();
    return real(path);
}

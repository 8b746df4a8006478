/* Count, fail or record the file operations of a process below one folder.

   Loaded with LD_PRELOAD, so that Python, SQLite, FFmpeg and every other library meet the same
   faults. Driven by file_operations.py through the functions at the end. Linux with glibc only. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096
#define MOST 1000000

/* Kinds of operations, as in file_operations.py. */
enum kind { OPEN_TO_READ = 'r', CREATE = 'c', OPEN_TO_WRITE = 'o', READ = 'R', WRITE = 'w',
            SYNC = 's', RENAME = 'n', UNLINK = 'u', MKDIR = 'm', RMDIR = 'd', LINK = 'l',
            TRUNCATE = 't', ALLOCATE = 'a', LIST = 'L', MODE = 'p', COPY = 'y' };

static char root[PATH_MAX];
static size_t root_length;
static char *names[FILES]; /* of open files below the root */
static long count, fail_at;
static int fail_with, stays_full, trace_file = -1, reached;
static char kinds[MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name) \
    static __typeof__(type) real; \
    if (!real) real = (__typeof__(type))dlsym(RTLD_NEXT, name)

static int is_watched(const char *path) {
    return root_length && path && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == 0);
}

/* Write the absolute path of a name into a buffer; links are not followed. */
static const char *resolve(int folder, const char *name, char *buffer) {
    if (!root_length || !name) return NULL;
    if (name[0] == '/') {
        snprintf(buffer, PATH_MAX, "%s", name);
    } else if (folder == AT_FDCWD) {
        char here[PATH_MAX];
        if (syscall(SYS_getcwd, here, sizeof here) < 0) return NULL;
        snprintf(buffer, PATH_MAX, "%s/%s", here, name);
    } else {
        if (folder < 0 || folder >= FILES || !names[folder]) return NULL;
        snprintf(buffer, PATH_MAX, "%s/%s", names[folder], name);
    }
    size_t length = strlen(buffer);
    while (length > 1 && buffer[length - 1] == '/') buffer[--length] = 0;
    return is_watched(buffer) ? buffer : NULL;
}

static const char *find_name(int file) {
    return file >= 0 && file < FILES ? names[file] : NULL;
}

static void remember(int file, const char *path) {
    if (file < 0 || file >= FILES) return;
    char *copy = path ? strdup(path) : NULL, *before = names[file];
    names[file] = copy;
    free(before);
}

static int takes_space(enum kind kind) {
    return strchr("cwmlayt", kind) != NULL;
}

/* Count an operation, and return whether it has to fail, with errno set. */
static int fails(enum kind kind) {
    pthread_mutex_lock(&lock);
    long place = ++count;
    if (place < MOST) kinds[place] = (char)kind;
    int failing = fail_at && (place == fail_at || (stays_full && place > fail_at && takes_space(kind)));
    if (failing) reached++;
    pthread_mutex_unlock(&lock);
    if (failing) errno = fail_with;
    return failing;
}

static void put(const void *data, size_t length) {
    const char *next = data;
    while (length) {
        ssize_t done = syscall(SYS_write, trace_file, next, length);
        if (done <= 0) return;
        next += done;
        length -= (size_t)done;
    }
}

/* Append what has happened to the trace. */
static void record(char kind, int file, const char *one, const char *other, int64_t at,
                   const void *data, size_t length) {
    if (trace_file < 0) return;
    int before = errno;
    pthread_mutex_lock(&lock);
    struct { char kind; char pad[3]; int32_t file; int64_t place, at, length; int32_t one, other; } head;
    memset(&head, 0, sizeof head);
    head.kind = kind;
    head.file = file;
    head.place = count;
    head.at = at;
    head.length = (int64_t)length;
    head.one = one ? (int32_t)strlen(one) : 0;
    head.other = other ? (int32_t)strlen(other) : 0;
    put(&head, sizeof head);
    if (one) put(one, (size_t)head.one);
    if (other) put(other, (size_t)head.other);
    if (data) put(data, length);
    pthread_mutex_unlock(&lock);
    errno = before;
}

static int open_any(int folder, const char *name, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *path = resolve(folder, name, buffer);
    if (path) {
        struct stat facts;
        int exists = syscall(SYS_newfstatat, AT_FDCWD, path, &facts, 0) == 0;
        int writes = (flags & O_ACCMODE) != O_RDONLY;
        int creates = (flags & O_CREAT) && !exists;
        enum kind kind = creates ? CREATE : writes ? OPEN_TO_WRITE
                       : exists && S_ISDIR(facts.st_mode) ? LIST : OPEN_TO_READ;
        if ((exists || creates) && fails(kind)) return -1;
    }
    int file = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (file >= 0 && root_length) {
        remember(file, path);
        if (path) record('O', file, path, NULL, flags, NULL, 0);
    }
    return file;
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *name, int flags, ...) { MODE_OF(flags) return open_any(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE_OF(flags) return open_any(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE_OF(flags) return open_any(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE_OF(flags) return open_any(folder, name, flags | O_LARGEFILE, mode); }
int __open_2(const char *name, int flags) { return open_any(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return open_any(AT_FDCWD, name, flags, 0); }
int creat(const char *name, mode_t mode) { return open_any(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static FILE *fopen_any(const char *name, const char *mode, const char *symbol) {
    FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, symbol);
    char buffer[PATH_MAX];
    const char *path = resolve(AT_FDCWD, name, buffer);
    if (path && fails(mode[0] == 'r' && !strchr(mode, '+') ? OPEN_TO_READ : CREATE)) return NULL;
    return real(name, mode);
}
FILE *fopen(const char *name, const char *mode) { return fopen_any(name, mode, "fopen"); }
FILE *fopen64(const char *name, const char *mode) { return fopen_any(name, mode, "fopen64"); }

int close(int file) {
    if (find_name(file)) {
        record('C', file, NULL, NULL, 0, NULL, 0);
        remember(file, NULL);
    }
    return (int)syscall(SYS_close, file);
}

static void copy_name(int from, int to) {
    if (!root_length || to < 0 || from == to) return;
    if (find_name(to)) record('C', to, NULL, NULL, 0, NULL, 0);
    remember(to, find_name(from));
    if (find_name(from)) record('D', to, NULL, NULL, from, NULL, 0);
}

int dup(int file) {
    int copy = (int)syscall(SYS_dup, file);
    copy_name(file, copy);
    return copy;
}
int dup2(int file, int wanted) {
    REAL(int (*)(int, int), "dup2");
    int copy = real(file, wanted);
    if (copy >= 0) copy_name(file, copy);
    return copy;
}
int dup3(int file, int wanted, int flags) {
    REAL(int (*)(int, int, int), "dup3");
    int copy = real(file, wanted, flags);
    if (copy >= 0) copy_name(file, copy);
    return copy;
}

static int fcntl_any(int file, int command, void *argument) {
    int result = (int)syscall(SYS_fcntl, file, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) copy_name(file, result);
    return result;
}
int fcntl(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl_any(file, command, argument);
}
int fcntl64(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl_any(file, command, argument);
}

ssize_t read(int file, void *data, size_t length) {
    if (find_name(file) && fails(READ)) return -1;
    return syscall(SYS_read, file, data, length);
}
ssize_t pread64(int file, void *data, size_t length, off64_t at) {
    if (find_name(file) && fails(READ)) return -1;
    return syscall(SYS_pread64, file, data, length, at);
}
ssize_t pread(int file, void *data, size_t length, off_t at) { return pread64(file, data, length, at); }

static int64_t find_place(int file) {
    if (syscall(SYS_fcntl, file, F_GETFL) & O_APPEND) {
        struct stat facts;
        return syscall(SYS_fstat, file, &facts) == 0 ? facts.st_size : 0;
    }
    return (int64_t)syscall(SYS_lseek, file, 0, SEEK_CUR);
}

ssize_t write(int file, const void *data, size_t length) {
    if (!find_name(file)) return syscall(SYS_write, file, data, length);
    if (fails(WRITE)) return -1;
    int64_t at = find_place(file);
    ssize_t done = syscall(SYS_write, file, data, length);
    if (done > 0) record('W', file, NULL, NULL, at, data, (size_t)done);
    return done;
}
ssize_t pwrite64(int file, const void *data, size_t length, off64_t at) {
    if (!find_name(file)) return syscall(SYS_pwrite64, file, data, length, at);
    if (fails(WRITE)) return -1;
    ssize_t done = syscall(SYS_pwrite64, file, data, length, at);
    if (done > 0) record('W', file, NULL, NULL, at, data, (size_t)done);
    return done;
}
ssize_t pwrite(int file, const void *data, size_t length, off_t at) { return pwrite64(file, data, length, at); }
ssize_t writev(int file, const struct iovec *parts, int number) {
    if (!find_name(file)) return syscall(SYS_writev, file, parts, number);
    ssize_t total = 0;
    for (int i = 0; i < number; i++) {
        ssize_t done = write(file, parts[i].iov_base, parts[i].iov_len);
        if (done < 0) return total ? total : -1;
        total += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return total;
}

static int sync_any(int file, long number) {
    if (find_name(file)) {
        if (fails(SYNC)) return -1;
        struct stat facts;
        int64_t changed = syscall(SYS_fstat, file, &facts) == 0
            ? facts.st_mtim.tv_sec * 1000000000LL + facts.st_mtim.tv_nsec : 0;
        record('S', file, names[file], NULL, changed, NULL, 0);
        return 0; /* the model decides what a power failure keeps; the disk need not work */
    }
    return (int)syscall(number, file);
}
int fsync(int file) { return sync_any(file, SYS_fsync); }
int fdatasync(int file) { return sync_any(file, SYS_fdatasync); }

static int truncate_any(int file, int64_t length) {
    if (find_name(file) && fails(TRUNCATE)) return -1;
    int result = (int)syscall(SYS_ftruncate, file, length);
    if (result == 0 && find_name(file)) record('T', file, NULL, NULL, length, NULL, 0);
    return result;
}
int ftruncate(int file, off_t length) { return truncate_any(file, length); }
int ftruncate64(int file, off64_t length) { return truncate_any(file, length); }

static int allocate_any(int file, int64_t at, int64_t length, long mode) {
    if (find_name(file) && fails(ALLOCATE)) return -1;
    int result = (int)syscall(SYS_fallocate, file, mode, at, length);
    if (result == 0 && find_name(file) && !mode) record('T', file, NULL, NULL, at + length, NULL, 0);
    return result;
}
int posix_fallocate(int file, off_t at, off_t length) { return allocate_any(file, at, length, 0) ? errno : 0; }
int posix_fallocate64(int file, off64_t at, off64_t length) { return allocate_any(file, at, length, 0) ? errno : 0; }
int fallocate(int file, int mode, off_t at, off_t length) { return allocate_any(file, at, length, mode); }
int fallocate64(int file, int mode, off64_t at, off64_t length) { return allocate_any(file, at, length, mode); }

/* Copies within the kernel would escape the trace: callers fall back to reading and writing. */
ssize_t sendfile(int out, int in, off_t *at, size_t length) {
    if (find_name(out)) {
        if (fails(COPY)) return -1;
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_sendfile, out, in, at, length);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t length) { return sendfile(out, in, at, length); }
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t length, unsigned flags) {
    if (find_name(out)) {
        if (fails(COPY)) return -1;
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, length, flags);
}

static int rename_any(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char one[PATH_MAX], other[PATH_MAX];
    const char *old = resolve(from_folder, from, one), *new = resolve(to_folder, to, other);
    if ((old || new) && fails(RENAME)) return -1;
    int result = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    if (result == 0 && old && new) record('N', -1, old, new, 0, NULL, 0);
    return result;
}
int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_any(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return rename_any(a, from, b, to, flags); }

int unlinkat(int folder, const char *name, int flags) {
    char buffer[PATH_MAX];
    const char *path = resolve(folder, name, buffer);
    struct stat facts;
    int exists = path && syscall(SYS_newfstatat, AT_FDCWD, path, &facts, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && fails(flags & AT_REMOVEDIR ? RMDIR : UNLINK)) return -1;
    int result = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (result == 0 && path) record('U', -1, path, NULL, 0, NULL, 0);
    return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    int result = unlinkat(AT_FDCWD, name, 0);
    return result && errno == EISDIR ? unlinkat(AT_FDCWD, name, AT_REMOVEDIR) : result;
}

int mkdirat(int folder, const char *name, mode_t mode) {
    char buffer[PATH_MAX];
    const char *path = resolve(folder, name, buffer);
    struct stat facts;
    int exists = path && syscall(SYS_newfstatat, AT_FDCWD, path, &facts, 0) == 0;
    if (path && !exists && fails(MKDIR)) return -1;
    int result = (int)syscall(SYS_mkdirat, folder, name, mode);
    if (result == 0 && path) record('M', -1, path, NULL, 0, NULL, 0);
    return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char one[PATH_MAX], other[PATH_MAX];
    const char *old = resolve(from_folder, from, one), *new = resolve(to_folder, to, other);
    if (new && fails(LINK)) return -1;
    int result = (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (result == 0 && old && new) record('K', -1, old, new, 0, NULL, 0);
    return result;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int fchmod(int file, mode_t mode) {
    if (find_name(file) && fails(MODE)) return -1;
    return (int)syscall(SYS_fchmod, file, mode);
}
int chmod(const char *name, mode_t mode) {
    char buffer[PATH_MAX];
    if (resolve(AT_FDCWD, name, buffer) && fails(MODE)) return -1;
    return (int)syscall(SYS_fchmodat, AT_FDCWD, name, mode);
}
int fchmodat(int folder, const char *name, mode_t mode, int flags) {
    char buffer[PATH_MAX];
    if (resolve(folder, name, buffer) && fails(MODE)) return -1;
    REAL(int (*)(int, const char *, mode_t, int), "fchmodat");
    return real(folder, name, mode, flags);
}

DIR *opendir(const char *name) {
    char buffer[PATH_MAX];
    REAL(DIR *(*)(const char *), "opendir");
    if (resolve(AT_FDCWD, name, buffer) && fails(LIST)) return NULL;
    return real(name);
}

/* For file_operations.py. */
void watch_files(const char *folder, long place, int error, int full, int trace) {
    snprintf(root, sizeof root, "%s", folder);
    count = reached = 0;
    fail_at = place;
    fail_with = error;
    stays_full = full;
    trace_file = trace;
    root_length = strlen(root);
}
void unwatch_files(void) { root_length = 0; fail_at = 0; trace_file = -1; }
void stop_faults(void) { fail_at = 0; }
long count_operations(void) { return count; }
int count_faults(void) { return reached; }
char find_kind(long place) { return place > 0 && place < MOST ? kinds[place] : 0; }
void mark_moment(const char *text) { record('!', -1, text, NULL, 0, NULL, 0); }

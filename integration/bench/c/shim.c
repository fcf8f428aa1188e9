/*
 * The job of timens-runc in C, in front of a runtime with offsets of its own: the command
 * line is read, the configuration looked for, config.json edited, and the runtime
 * becomes of this process. See common.h.
 */
#include "common.h"
#include <sys/uio.h>

/* bundle_of finds --bundle, and whether a container is made. */
static const char *bundle_of(char **argv, bool *makes)
{
	static const char *with_value[] = {"--root", "--log", "--log-format", "--pid-file", "--console-socket"};
	const char *bundle = ".";
	for (char **arg = argv + 1; *arg; arg++) {
		bool taken = false;
		for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++)
			taken |= !strcmp(*arg, with_value[i]);
		if (taken && arg[1])
			arg++;
		else if (!strcmp(*arg, "--bundle") && arg[1])
			bundle = *++arg;
		else if (!strcmp(*arg, "create") || !strcmp(*arg, "run"))
			*makes = true;
	}
	return bundle;
}

/* known makes sure that this version of the runtime sets offsets: it is asked once. */
static void known(const char *runtime)
{
	struct stat st;
	char name[128], command[4096], line[128];
	if (stat(runtime, &st))
		fail(runtime);
	snprintf(name, sizeof name, "/run/timens-in-c/%lx-%lx-%lx-%llx", st.st_dev, st.st_ino, st.st_size, st.st_ctim.tv_sec * NANOS + st.st_ctim.tv_nsec);
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		char *version = slurp(fd, NULL);
		close(fd);
		if (strcmp(version, "runc version 1.5.2\n"))
			fail(version);
		return;
	}
	snprintf(command, sizeof command, "'%s' --version", runtime);
	FILE *f = popen(command, "re");
	if (!f || !fgets(line, sizeof line, f) || strcmp(line, "runc version 1.5.2\n"))
		fail(command);
	pclose(f);
	mkdir("/run/timens-in-c", 0700);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		fail(name);
	close(fd);
}

/* replace writes a file beside config.json with its mode and owner, and renames it. */
static void replace(int dir, const struct stat *was, struct iovec *parts, int n)
{
	struct stat now;
	char name[64];
	errno = 0;
	if (fstatat(dir, "config.json", &now, AT_SYMLINK_NOFOLLOW) || now.st_ino != was->st_ino || now.st_size != was->st_size)
		fail("config.json has been changed");
	snprintf(name, sizeof name, ".config.json.%08x%08x", getpid(), (unsigned)read_clock(CLOCK_MONOTONIC));
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t size = 0;
	for (int i = 0; i < n; i++)
		size += parts[i].iov_len;
	if (fd < 0 || writev(fd, parts, n) != (ssize_t)size || fstat(fd, &now))
		fail("config.json");
	if ((now.st_uid != was->st_uid || now.st_gid != was->st_gid) && fchown(fd, was->st_uid, was->st_gid))
		fail("chown");
	if (fchmod(fd, was->st_mode & 07777) || close(fd) || renameat(dir, name, dir, "config.json"))
		fail("config.json");
}

/* edit adds a time namespace and its offsets, at the ends of linux.namespaces and linux. */
static void edit(int dir, const struct stat *st, const char *text, const char *runtime)
{
	const char *doc = parse(text), *linux_ = member(doc, "linux"), *namespaces = member(linux_, "namespaces");
	struct asked asked = parse_asked(member(doc, "annotations"));
	if (!asked.monotonic.set && !asked.boottime.set)
		return;
	errno = 0;
	if (!namespaces || *namespaces != '[' || member(linux_, "timeOffsets") || strstr(text, "\"time\""))
		fail("config.json");
	known(runtime);
	int64_t monotonic = read_clock(CLOCK_MONOTONIC), boottime = read_clock(CLOCK_BOOTTIME), ms, mn, bs, bn;
	split(offset(asked.monotonic, monotonic, monotonic), &ms, &mn);
	split(offset(asked.boottime, boottime, boottime), &bs, &bn);
	char offsets[256], entry[] = ",{\"type\":\"time\"}";
	int n = snprintf(offsets, sizeof offsets, ",\"timeOffsets\":{\"monotonic\":{\"secs\":%ld,\"nanosecs\":%ld},\"boottime\":{\"secs\":%ld,\"nanosecs\":%ld}}", ms, mn, bs, bn);
	const char *first = value_end(namespaces) - 1, *second = value_end(linux_) - 1;
	struct iovec parts[] = {
		{(void *)text, first - text},   {entry, sizeof entry - 1},  {(void *)first, second - first},
		{offsets, n},                   {(void *)second, strlen(second)},
	};
	replace(dir, st, parts, 5);
}

int main(int argc, char **argv)
{
	(void)argc;
	bool makes = false;
	const char *bundle = bundle_of(argv, &makes);
	char *runtime = read_config();
	if (!runtime || access(runtime, X_OK))
		fail("no runtime");
	if (makes) {
		struct stat st;
		int dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = openat(dir, "config.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
			fail(bundle);
		char *text = slurp(fd, NULL);
		close(fd);
		if (strstr(text, "timens"))
			edit(dir, &st, text, runtime);
	}
	argv[0] = runtime;
	execv(runtime, argv);
	fail(runtime);
}

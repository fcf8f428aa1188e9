/*
 * Has a stopped process make a time namespace: timens/inject.go in C, for x86-64.
 */
#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static char *slurp_at(int dir, const char *name, size_t *length)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		fail(name);
	char *text = slurp(fd, length);
	close(fd);
	return text;
}

static struct user_regs_struct saved;
static uint64_t mask, gadget;

static void trace(int request, pid_t pid, void *addr, void *data)
{
	if (ptrace(request, pid, addr, data) == -1)
		fail("ptrace");
}

/* await waits for a stop. */
static int await(pid_t pid)
{
	int status;
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		fail("wait");
	return status;
}

/* find_syscall finds a system call instruction in the vDSO of the process. */
static uint64_t find_syscall(pid_t pid, int proc)
{
	char *text = slurp_at(proc, "auxv", NULL);
	Elf64_auxv_t *a = (void *)text;
	while (a->a_type != AT_NULL && a->a_type != AT_SYSINFO_EHDR)
		a++;
	static char page[4096];
	for (uint64_t at = a->a_un.a_val;; at += sizeof page) {
		struct iovec local = {page, sizeof page}, remote = {(void *)at, sizeof page};
		if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != sizeof page)
			fail("process_vm_readv");
		char *found = memmem(page, sizeof page, "\x0f\x05", 2);
		if (found)
			return at + (found - page);
	}
}

/* call has the process make a system call. */
static void call(pid_t pid, long nr, long arg)
{
	struct user_regs_struct regs = saved;
	regs.rip = gadget, regs.rax = nr, regs.orig_rax = -1;
	regs.rdi = arg, regs.rsi = regs.rdx = regs.r10 = regs.r8 = regs.r9 = 0;
	trace(PTRACE_SETREGS, pid, NULL, &regs);
	for (int i = 0; i < 2; i++) {
		trace(PTRACE_SYSCALL, pid, NULL, NULL);
		while (WSTOPSIG(await(pid)) != (SIGTRAP | 0x80))
			trace(PTRACE_SYSCALL, pid, NULL, NULL);
	}
	trace(PTRACE_GETREGS, pid, NULL, &regs);
	if ((long)regs.rax < 0) {
		errno = -regs.rax;
		fail("system call of the process");
	}
}

static ino_t namespace_at(int dir, const char *name)
{
	struct stat st;
	if (fstatat(dir, name, &st, 0))
		fail(name);
	return st.st_ino;
}

/* write_offsets writes both, and asks the kernel whether it holds them. */
static void write_offsets(int proc, int64_t monotonic, int64_t boottime)
{
	int64_t ms, mn, bs, bn, got[4];
	split(monotonic, &ms, &mn);
	split(boottime, &bs, &bn);
	char text[128];
	int n = snprintf(text, sizeof text, "1 %ld %ld\n7 %ld %ld\n", ms, mn, bs, bn);
	int fd = openat(proc, "timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, n) != n)
		fail("timens_offsets");
	close(fd);
	char *held = slurp_at(proc, "timens_offsets", NULL);
	errno = 0;
	if (sscanf(held, "monotonic %ld %ld boottime %ld %ld", got, got + 1, got + 2, got + 3) != 4 ||
	    got[0] != ms || got[1] != mn || got[2] != bs || got[3] != bn)
		fail("the kernel holds other offsets");
}

static void inject(pid_t pid, int pidfd, int proc, int64_t monotonic, int64_t boottime)
{
	trace(PTRACE_SEIZE, pid, NULL, NULL);
	trace(PTRACE_INTERRUPT, pid, NULL, NULL);
	for (int status; (status = await(pid)) >> 16 != PTRACE_EVENT_STOP;)
		trace(PTRACE_CONT, pid, NULL, (void *)(long)WSTOPSIG(status));
	if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0))
		fail("pidfd_send_signal");
	trace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD));
	trace(PTRACE_GETREGS, pid, NULL, &saved);
	errno = 0;
	if (saved.cs != 0x33)
		fail("a 32-bit process");
	uint64_t all = ~0ul;
	trace(PTRACE_GETSIGMASK, pid, (void *)sizeof mask, &mask);
	trace(PTRACE_SETSIGMASK, pid, (void *)sizeof all, &all);
	gadget = find_syscall(pid, proc);

	ino_t before = namespace_at(proc, "ns/time_for_children");
	call(pid, SYS_unshare, CLONE_NEWTIME);
	write_offsets(proc, monotonic, boottime);
	errno = 0;
	if (namespace_at(proc, "ns/time_for_children") == before)
		fail("no new time namespace");

	if ((long)saved.orig_rax >= 0)
		switch (-(long)saved.rax) {
		case 512: case 513: case 514: /* ERESTARTSYS, -NOINTR, -NOHAND */
			saved.rax = saved.orig_rax, saved.rip -= 2;
			break;
		case 516: /* ERESTART_RESTARTBLOCK */
			saved.rax = SYS_restart_syscall, saved.rip -= 2;
		}
	saved.orig_rax = -1;
	trace(PTRACE_SETREGS, pid, NULL, &saved);
	trace(PTRACE_SETSIGMASK, pid, (void *)sizeof mask, &mask);
	trace(PTRACE_DETACH, pid, NULL, NULL);
}

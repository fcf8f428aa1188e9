/* The least that a C program can be. Asked for its version, it passes for a runtime. */
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const char version[] = "runc version 1.5.2\n";
	if (argc == 2 && !strcmp(argv[1], "--version"))
		return write(1, version, sizeof version - 1) < 0;
	return 0;
}

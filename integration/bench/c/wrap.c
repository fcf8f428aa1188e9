/* The least that a wrapper of a runtime can be: it becomes the program that WRAPPED names. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argc;
	execv(getenv("WRAPPED"), argv);
	perror("exec");
	return 1;
}

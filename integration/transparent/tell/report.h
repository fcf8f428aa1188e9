#ifndef REPORT_H
#define REPORT_H

enum place { AS_RUNTIME, IN_CONTAINER };

void report_args(int argc, char **argv);
void report(int fd, enum place);
// report_to writes a new file, after it has looked which files are open.
int report_to(const char *path, enum place);

#endif

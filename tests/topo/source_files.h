/* Every topology source there is to test with. */
#ifndef TESTS_SOURCE_FILES_H
#define TESTS_SOURCE_FILES_H

/* Call `judge` with the path of every file under tests/data that a topology may be loaded
 * from, in folders topologies, lint and machines; with extra nonzero those of the folder
 * topologies in SPAN_EXTRA_DATA instead. Returns how many files there were. */
int source_files_each(int extra, void (*judge)(const char *path));

#endif

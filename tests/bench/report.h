/* What a bench prints and keeps: one line of a table a figure, and the same figures in
 * bench.json, an array of {name, value, unit, note} to which every bench appends.
 *
 *     report *figures = report_open(argc > 1 ? argv[1] : NULL, "attention kernels");
 *     report_add(figures, "attention.forward.f32.full.s1024.d128.fraction_of_peak", 0.84,
 *                "1", "avx512, median of %d, spread %.1f%%", runs, spread);
 *     return report_close(figures);
 *
 * Names are lower case, parts joined by dots, and stay the same from release to release. The
 * unit of a ratio is "1". Trouble with the file is told on stderr and by report_close. */
#ifndef SPAN_TESTS_REPORT_H
#define SPAN_TESTS_REPORT_H

typedef struct report report;

/* Begin a table under `title`. path: the file to append to, made when it is not there; NULL:
 * table only. Exits when memory is out; never NULL. */
report *report_open(const char *path, const char *title);

/* Add one figure. The note is a printf format; "" for none. */
__attribute__((format(printf, 5, 6)))
void report_add(report *figures, const char *name, double value, const char *unit,
                const char *note, ...);

/* End the table and free it. Returns 0, or 1 when the file could not be written, a name was
 * used twice or a value is not a finite number: the exit status of the bench. */
int report_close(report *figures);

#endif

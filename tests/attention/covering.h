/* Covering arrays: few rows in which every pair of values of any two parameters occurs. */
#ifndef SPAN_TESTS_COVERING_H
#define SPAN_TESTS_COVERING_H

enum { COVERING_PARAMETERS = 32, COVERING_ROWS = 1024 };

/* Parameter p has the values 0 .. values[p] - 1. Fills row[][] and returns how many rows there
 * are: the same for the same arguments on every machine. Greedy, after Cohen, Dalal, Fredman
 * and Patton 1997, "The AETG system", section 4: of some candidates, each built parameter by
 * parameter to cover the most new pairs, the best becomes a row. */
int covering_array(int parameters, const int *values, int row[COVERING_ROWS][COVERING_PARAMETERS]);

/* How many pairs of values occur in no row. */
int covering_missing(int parameters, const int *values, int rows,
                     int row[COVERING_ROWS][COVERING_PARAMETERS]);

#endif

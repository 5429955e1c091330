#include <cblas.h>
#include "blas.h"

/* OpenBLAS only; another BLAS leaves them NULL and is told by its own environment. */
extern void openblas_set_num_threads(int threads);
extern char *openblas_get_config(void);
#pragma weak openblas_set_num_threads
#pragma weak openblas_get_config

void blas_start(void)
{
	if (openblas_set_num_threads)
		openblas_set_num_threads(1);
}

const char *blas_name(void)
{
	return openblas_get_config ? openblas_get_config() : "unknown";
}

void product(int rows, int in, int out, const float *x, const float *weight, float *y)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, out, in,
	            1.0f, x, in, weight, in, 0.0f, y, out);
}

void product_add(int rows, int in, int out, const float *x, const float *weight, float *y)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, out, in,
	            1.0f, x, in, weight, in, 1.0f, y, out);
}

void product_back(int rows, int in, int out, const float *dy, const float *weight, float *dx)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, in, out,
	            1.0f, dy, out, weight, in, 0.0f, dx, in);
}

void product_weight(int rows, int in, int out, const float *dy, const float *x,
                    float *dweight)
{
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, rows,
	            1.0f, dy, out, x, in, 0.0f, dweight, in);
}

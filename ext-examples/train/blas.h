/* Matrix products of one tile of rows. A BLAS promises equal bits only for equal shapes, so
 * every product of the trainer has the rows of one tile, whatever the number of ranks. */
#ifndef TRAIN_BLAS_H
#define TRAIN_BLAS_H

/* Keep the BLAS to the calling thread: ranks are threads already, and a product split over
 * threads may be summed in another order. Call once, before any product. */
void blas_start(void);

/* What the BLAS calls itself, for the record; "unknown" where it does not say. */
const char *blas_name(void);

/* y = x weight^T, or y += x weight^T.
 *   x [rows][in]  weight [out][in]  y [rows][out] */
void product(int rows, int in, int out, const float *x, const float *weight, float *y);
void product_add(int rows, int in, int out, const float *x, const float *weight, float *y);

/* The gradient of x: dx = dy weight.
 *   dy [rows][out]  weight [out][in]  dx [rows][in] */
void product_back(int rows, int in, int out, const float *dy, const float *weight, float *dx);

/* The gradient of weight that these rows contribute: dweight = dy^T x.
 *   dy [rows][out]  x [rows][in]  dweight [out][in] */
void product_weight(int rows, int in, int out, const float *dy, const float *x,
                    float *dweight);

#endif

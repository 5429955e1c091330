/* Writing a profile as text; the format is in README.md of this folder. */
#include "topo/nccl/profile.h"

#include <errno.h>
#include <string.h>

#include "topo/log.h"

static void save_trust(FILE *file, double spread, int32_t samples, int32_t source)
{
	char text[PROFILE_DOUBLE_BYTES];

	profile_write_double(spread, text);
	fprintf(file, " spread %s samples %d source %d\n", text, samples, source);
}

static void save_number(FILE *file, const span_number *number)
{
	char text[PROFILE_DOUBLE_BYTES];

	profile_write_double(number->value, text);
	fprintf(file, "number %s %s", number->name, text);
	save_trust(file, number->spread, number->samples, number->source);
}

static void save_curve(FILE *file, const span_curve *curve)
{
	char bytes[PROFILE_DOUBLE_BYTES], us[PROFILE_DOUBLE_BYTES];

	fprintf(file, "curve %s %s/%s ranks %d nodes %d", span_coll_name(curve->coll),
	        span_algo_name(curve->algo), span_proto_name(curve->proto), curve->ranks,
	        curve->nodes);
	save_trust(file, curve->spread, curve->samples, curve->source);
	for (int32_t i = 0; i < curve->n_knots; i++) {
		profile_write_double(curve->knots[i].bytes, bytes);
		profile_write_double(curve->knots[i].us, us);
		fprintf(file, "knot %s %s\n", bytes, us);
	}
}

span_status span_profile_save(const span_profile *profile, FILE *file)
{
	if (!profile || !file)
		return span_fail(SPAN_EINVAL, "span_profile_save: %s is NULL",
		                 !profile ? "profile" : "file");
	fprintf(file, "span-profile %d\nname %s\n", SPAN_PROFILE_FORMAT, profile->name);
	for (int32_t i = 0; i < profile->n_sources; i++)
		fprintf(file, "source %d %s\n", i, profile->sources[i]);
	for (int32_t i = 0; i < profile->n_numbers; i++)
		save_number(file, &profile->numbers[i].number);
	for (int32_t i = 0; i < profile->n_curves; i++)
		save_curve(file, &profile->curves[i].curve);
	fprintf(file, "end\n");
	if (fflush(file) || ferror(file))
		return span_fail(SPAN_EIO, "span_profile_save: writing failed: %s", strerror(errno));
	return SPAN_OK;
}

/* Profiles to test with. */
#ifndef TESTS_PROFILE_CASE_H
#define TESTS_PROFILE_CASE_H

#include "topo/span_profile.h"

/* A small profile with sources, numbers and curves of every kind. */
span_profile *profile_case(void);

/* A large one: about so many bytes as text. */
span_profile *profile_case_large(size_t bytes);

/* A profile as text; belongs to the caller. */
char *profile_case_text(const span_profile *profile);

/* Loading text of so many bytes, as a file of the name "profiles/mine". */
span_status profile_case_load(const char *text, size_t bytes, span_profile **profile);

#endif

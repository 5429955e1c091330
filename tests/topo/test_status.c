#include "topo/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/topo/log_capture.h"

Test(status, every_code_has_a_text_of_its_own)
{
	for (int a = 0; a >= -8; a--) {
		const char *text = span_strerror((span_status)a);

		cr_assert(text && *text && strcmp(text, "unknown status"), "%d", a);
		for (int b = 0; b > a; b--)
			cr_assert_str_neq(text, span_strerror((span_status)b));
	}
	cr_assert_str_eq(span_strerror((span_status)-9), "unknown status");
	cr_assert_str_eq(span_strerror((span_status)1), "unknown status");
}

Test(status, fail_returns_the_status_and_says_why_once)
{
	log_capture();
	cr_assert_eq(span_fail(SPAN_EPARSE, "line %d: %s", 7, "no"), SPAN_EPARSE);
	cr_assert_str_eq(log_captured(), "line 7: no");
	cr_assert_eq(log_captured_status(), SPAN_EPARSE);
	cr_assert_eq(log_captured_count(), 1);
}

Test(status, without_a_hook_messages_are_dropped)
{
	log_capture();
	span_set_log(NULL, NULL);
	cr_assert_eq(span_fail(SPAN_EIO, "unheard"), SPAN_EIO);
	cr_assert_eq(log_captured_count(), 0);
}

Test(status, a_message_is_one_bounded_line)
{
	char name[2000];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_capture();
	span_fail(SPAN_EINVAL, "%s", name);
	cr_assert_eq(strlen(log_captured()), 511);
	cr_assert_str_eq(log_captured() + 508, "...");
	span_fail(SPAN_EINVAL, "%s", "two\nlines\tand\x01 more");
	cr_assert_str_eq(log_captured(), "two lines and  more");
}

Test(status, version_is_that_of_the_headers)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", SPAN_VERSION_MAJOR, SPAN_VERSION_MINOR,
	         SPAN_VERSION_PATCH);
	cr_assert_str_eq(span_version_string(), text);
	cr_assert_eq(span_version(), SPAN_VERSION_MAJOR * 10000 + SPAN_VERSION_MINOR * 100 +
	                                     SPAN_VERSION_PATCH);
}

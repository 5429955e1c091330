#include "plugin/profiles.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/plugin/cost_tables.h"
#include "tests/topo/log_capture.h"

static char root[64];

static void make_root(void)
{
	strcpy(root, "/tmp/span-test-XXXXXX");
	cr_assert(mkdtemp(root));
	log_capture();
}

TestSuite(profiles, .init = make_root);

/* Make the folders of a path below the root, and the file if there is text. */
static const char *put(const char *name, const char *text)
{
	static char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *c = path + strlen(root) + 1; (c = strchr(c, '/')); c++) {
		*c = '\0';
		mkdir(path, 0700);
		*c = '/';
	}
	if (text) {
		file = fopen(path, "w");
		cr_assert(file);
		fputs(text, file);
		fclose(file);
	}
	return path;
}

static void put_device(int slot, const char *vendor, const char *class, const char *device)
{
	char name[128];

	snprintf(name, sizeof(name), "sys/bus/pci/devices/0000:%02x:00.0/vendor", slot);
	put(name, vendor);
	snprintf(name, sizeof(name), "sys/bus/pci/devices/0000:%02x:00.0/class", slot);
	put(name, class);
	snprintf(name, sizeof(name), "sys/bus/pci/devices/0000:%02x:00.0/device", slot);
	put(name, device);
}

Test(profiles, gpus_are_display_controllers_of_nvidia)
{
	int device;

	cr_assert_eq(span_profiles_gpus(root, &device), 0);
	put_device(1, "0x10de\n", "0x030200\n", "0x2330\n");
	put_device(2, "0x10de\n", "0x068000\n", "0x22a3\n"); /* an NVSwitch */
	put_device(3, "0x8086\n", "0x030000\n", "0x56c0\n");
	put_device(4, "0x10de\n", "0x030000\n", "0x2330\n");
	cr_assert_eq(span_profiles_gpus(root, &device), 2);
	cr_assert_eq(device, 0x2330);
	put_device(5, "0x10de\n", "0x030200\n", "0x20b0\n");
	cr_assert_eq(span_profiles_gpus(root, &device), 0); /* mixed */
}

Test(profiles, the_folder_is_found_from_where_the_plugin_lies)
{
	char object[256], folder[512], wanted[512], short_one[8];

	snprintf(object, sizeof(object), "%s/lib/x86/libnccl-tuner-span.so", root);
	put("lib/x86/libnccl-tuner-span.so", "");
	cr_assert_eq(span_profiles_folder(object, folder, sizeof(folder)), 0);
	put("lib/plugin/profiles/", NULL);
	cr_assert_eq(span_profiles_folder(object, folder, sizeof(folder)), 1);
	snprintf(wanted, sizeof(wanted), "%s/lib/x86/../plugin/profiles", root);
	cr_assert_str_eq(folder, wanted);
	put("share/span/profiles/", NULL);
	cr_assert_eq(span_profiles_folder(object, folder, sizeof(folder)), 1);
	snprintf(wanted, sizeof(wanted), "%s/lib/x86/../../share/span/profiles", root);
	cr_assert_str_eq(folder, wanted);
	cr_assert_eq(span_profiles_folder(object, short_one, sizeof(short_one)), 0);
}

Test(profiles, one_is_opened_by_path_and_refused_by_name)
{
	static const struct flat_time time = { SPAN_ALGO_RING, SPAN_PROTO_LL, 10 };
	span_profile *profile = flat_profile("mine", 8, 1, &time, 1, 0.01), *again = NULL;
	const char *path = put("some.profile", "");
	FILE *file = fopen(path, "w");

	cr_assert_eq(span_profile_save(profile, file), SPAN_OK);
	fclose(file);
	span_profile_free(profile);
	cr_assert_eq(span_profiles_open(path, &again), SPAN_OK, "%s", log_captured());
	cr_assert_str_eq(span_profile_name(again), "mine");
	span_profile_free(again);
	cr_assert_eq(span_profiles_open("no-such-machine", &again), SPAN_EIO);
	cr_assert_eq(log_captured_count(), 1);
	cr_assert_eq(chdir(root), 0);
	cr_assert_eq(span_profiles_open("some.profile", &again), SPAN_OK, "%s", log_captured());
	span_profile_free(again);
	cr_assert_eq(span_profiles_open("some", &again), SPAN_EIO, "a name is that of a shipped one");
	cr_assert_eq(span_profiles_open(".profile", &again), SPAN_EIO);
}

static span_profile *of_machine(void)
{
	span_profile *profile = (span_profile *)root; /* anything but NULL */
	char object[256];

	snprintf(object, sizeof(object), "%s/lib/libnccl-tuner-span.so", root);
	cr_assert_eq(span_profiles_of_machine(root, object, &profile), SPAN_OK, "%s",
	             log_captured());
	return profile;
}

/* A profile for `gpus` of a device, as span/profiles/NAME. */
static void ship(const char *name, const char *device, int gpus)
{
	char path[128], text[512];

	snprintf(path, sizeof(path), "share/span/profiles/%s", name);
	snprintf(text, sizeof(text), "span-profile 1\nname %s\nsource 0 made up\n"
		 "number machine.gpu %s spread 0 samples 0 source 0\n"
		 "number machine.gpus %d spread 0 samples 0 source 0\nend\n", name, device, gpus);
	put(path, text);
}

Test(profiles, the_gpus_of_a_machine_pick_one)
{
	span_profile *profile;

	put("lib/libnccl-tuner-span.so", "");
	ship("b.profile", "9008", 2);
	ship("a.profile", "9008", 8);
	ship("c.profile", "9008", 2);
	ship("0.not-one", "9008", 2);
	cr_assert_null(of_machine()); /* no GPUs */
	put_device(1, "0x10de\n", "0x030200\n", "0x2330\n");
	cr_assert_null(of_machine()); /* one */
	put_device(2, "0x10de\n", "0x030200\n", "0x2330\n");
	profile = of_machine();
	cr_assert_not_null(profile);
	cr_assert_str_eq(span_profile_name(profile), "b.profile");
	span_profile_free(profile);
}

Test(profiles, a_shipped_one_that_is_wrong_is_named)
{
	span_profile *profile = NULL;
	char object[256];

	put_device(1, "0x10de\n", "0x030200\n", "0x2330\n");
	put("share/span/profiles/a.profile", "nonsense\n");
	put("lib/", NULL);
	snprintf(object, sizeof(object), "%s/lib/libnccl-tuner-span.so", root);
	cr_assert_eq(span_profiles_of_machine(root, object, &profile), SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "a.profile:1"), "%s", log_captured());
	cr_assert_null(profile);
}

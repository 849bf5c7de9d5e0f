// SPDX-License-Identifier: MIT OR Apache-2.0
// Reads a domain's configuration with xl's own parser and prints what it understood, one
// value a line. Part of the tests: links -lxlutil.
#include <libxl.h>
#include <libxlutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static XLU_Config *config;

static void text(const char *key) {
    const char *value;
    int missing = xlu_cfg_get_string(config, key, &value, 1);
    printf("%s=%s\n", key, missing ? "(none)" : value);
}

static void number(const char *key) {
    long value;
    int missing = xlu_cfg_get_long(config, key, &value, 1);
    printf("%s=%ld\n", key, missing ? -1 : value);
}

int main(void) {
    static char data[1 << 20];
    size_t length = fread(data, 1, sizeof data, stdin);
    config = xlu_cfg_init(stderr, "config");
    if (!config || xlu_cfg_readdata(config, data, length)) return 1;
    const char *texts[] = {"name", "uuid", "type", "kernel", "ramdisk", "cmdline",
                           "on_poweroff", "on_reboot", "on_watchdog", "on_crash"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) text(texts[i]);
    number("memory");
    number("vcpus");
    XLU_ConfigList *disks;
    int count;
    if (xlu_cfg_get_list(config, "disk", &disks, &count, 1)) return 2;
    printf("disks=%d\n", count);
    for (int i = 0; i < count; i++) {
        const char *spec = xlu_cfg_get_listitem(disks, i);
        libxl_device_disk disk;
        libxl_device_disk_init(&disk);
        if (!spec || xlu_disk_parse(config, 1, &spec, &disk)) return 3;
        printf("%s %s %s %d %s\n", disk.vdev, libxl_disk_format_to_string(disk.format),
               disk.script ? disk.script : "(none)", disk.readwrite, disk.pdev_path);
    }
    return 0;
}

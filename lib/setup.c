/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "setup.h"

/* Of the service whose setup() is running, one at a time; NULL outside. */
static const struct ufop_service	*current;
static const struct settings		*current_settings;

int
setup_run(const struct ufop_service *service, const struct settings *settings,
    char *why, size_t why_size)
{
	int	 r;

	if (service->setup == NULL)
		return (0);
	/* For a setup() that fails without a word. */
	snprintf(why, why_size, "setup failed");
	current = service;
	current_settings = settings;
	r = service->setup(why, why_size);
	current = NULL;
	current_settings = NULL;
	return (r);
}

const char *
ufop_setup_setting(const char *name)
{
	if (current == NULL)
		return (NULL);
	return (settings_str(current_settings, current->name, name));
}

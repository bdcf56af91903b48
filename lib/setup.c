/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "setup.h"

/* Of the service whose setup() is running, one at a time; NULL outside. */
static const struct ufop_service	*current;
static const struct settings		*current_settings;
static const char			*current_pool;

void
setup_pool(const char *pool)
{
	current_pool = pool;
}

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

void
setup_describe(const struct ufop_service *service,
    const struct settings *settings, char *text, size_t text_size)
{
	text[0] = '\0';
	if (service->describe == NULL)
		return;
	current = service;
	current_settings = settings;
	service->describe(text, text_size);
	current = NULL;
	current_settings = NULL;
}

const char *
ufop_setup_setting(const char *name)
{
	const char	*dot = strchr(name, '.'), *value;
	char		*section;

	if (current == NULL)
		return (NULL);
	if (dot == NULL)
		return (settings_str(current_settings, current->name, name));
	section = xasprintf("%.*s", (int)(dot - name), name);
	value = settings_str(current_settings, section, dot + 1);
	free(section);
	return (value);
}

const char *
ufop_setup_pool(void)
{
	return (current != NULL ? current_pool : NULL);
}

/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "log.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-bus.h>
#include <time.h>

/* For an answer, when programs wait for it to start, or the session for our end. */
#define ANSWER_US 2000000u
#define END_US 1000000u
/* Messages in one go; others of the loop's want their turn. */
#define MAX_PROCESSED 64

#define MANAGER                                                                                    \
	"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
#define DRIVER "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"

struct variable {
	char *name, *value;
	char *before; /* may be NULL: it was not set, or that is unknown */
	bool weak, stays;
	bool lost; /* it is somebody else's */
};

struct gp_session {
	struct gp_session_config config;
	struct variable variables[GP_MAX_VARIABLES];
	uint32_t count;
	sd_bus *bus;				/* NULL while nothing is to be said */
	struct wl_event_source *source, *timer; /* of the bus; NULL: none */
	uint32_t pending;			/* calls without an answer */
	uint64_t end_us; /* CLOCK_MONOTONIC: then the exchange is over in any case */
	bool has_systemd;
	bool told;     /* there is something to take back */
	bool ending;   /* it is being taken back */
	bool answered; /* the exchange is over */
};

static uint64_t now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static struct variable *find(struct gp_session *session, const char *name, size_t len)
{
	for (uint32_t i = 0; i < session->count; i++) {
		struct variable *variable = &session->variables[i];
		if (strlen(variable->name) == len && memcmp(variable->name, name, len) == 0) {
			return variable;
		}
	}
	return NULL;
}

static void log_failure(const char *what, const sd_bus_error *error, int ret)
{
	const char *text =
		error != NULL && error->message != NULL ? error->message : strerror(-ret);
	char escaped[256];
	br_log(BR_LOG_WARN,
	       "guest: session: %s: %s: programs that are started by it need WAYLAND_DISPLAY set",
	       what, br_log_escape(escaped, sizeof(escaped), text, strlen(text)));
}

/* An answer that only counts. userdata: the session. */
static int handle_answer(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct gp_session *session = userdata;
	(void)error;
	if (sd_bus_message_is_method_error(message, NULL)) {
		log_failure(sd_bus_message_get_sender(message) != NULL
				    ? sd_bus_message_get_sender(message)
				    : "D-Bus",
			    sd_bus_message_get_error(message), -EIO);
	}
	session->pending--;
	session->answered = session->pending == 0;
	return 0;
}

/* Send a message that was made by steps which add up to ret; a reference is dropped in any case. */
static void call(struct gp_session *session, sd_bus_message *message, int ret, const char *what)
{
	if (ret >= 0) {
		ret = sd_bus_call_async(session->bus, NULL, message, handle_answer, session,
					UINT64_MAX);
	}
	if (ret < 0) {
		log_failure(what, NULL, ret);
	} else {
		session->pending++;
	}
	sd_bus_message_unref(message);
}

/* At the end back to what was before; never what is somebody else's. */
static bool is_told(const struct gp_session *session, const struct variable *variable)
{
	return !variable->lost && !(session->ending && variable->stays);
}

/* NULL: nothing. A value like ours was of a proxy that died, or of the socket's unit: then it stays. */
static const char *older(const struct variable *variable)
{
	return variable->before != NULL && strcmp(variable->before, variable->value) != 0
		       ? variable->before
		       : NULL;
}

static int append_assignment(sd_bus_message *message, const char *name, const char *value)
{
	char *text = NULL;
	if (asprintf(&text, "%s=%s", name, value) < 0) {
		return -ENOMEM;
	}
	int ret = sd_bus_message_append_basic(message, 's', text);
	free(text);
	return ret;
}

/* The variables as NAME=VALUE that are set now. */
static int append_assignments(const struct gp_session *session, sd_bus_message *message)
{
	int ret = sd_bus_message_open_container(message, 'a', "s");
	for (uint32_t i = 0; ret >= 0 && i < session->count; i++) {
		const struct variable *variable = &session->variables[i];
		const char *value = session->ending ? older(variable) : variable->value;
		if (is_told(session, variable) && value != NULL) {
			ret = append_assignment(message, variable->name, value);
		}
	}
	return ret < 0 ? ret : sd_bus_message_close_container(message);
}

/* The names of those that are unset. */
static int append_unset(const struct gp_session *session, sd_bus_message *message)
{
	int ret = sd_bus_message_open_container(message, 'a', "s");
	for (uint32_t i = 0; ret >= 0 && i < session->count; i++) {
		const struct variable *variable = &session->variables[i];
		if (is_told(session, variable) && older(variable) == NULL) {
			ret = sd_bus_message_append_basic(message, 's', variable->name);
		}
	}
	return ret < 0 ? ret : sd_bus_message_close_container(message);
}

static void tell_systemd(struct gp_session *session)
{
	sd_bus_message *message = NULL;
	int ret = sd_bus_message_new_method_call(session->bus, &message, MANAGER,
						 session->ending ? "UnsetAndSetEnvironment"
								 : "SetEnvironment");
	if (ret >= 0 && session->ending) {
		ret = append_unset(session, message);
	}
	if (ret >= 0) {
		ret = append_assignments(session, message);
	}
	call(session, message, ret, "systemd's user manager");
}

static void tell_bus(struct gp_session *session)
{
	sd_bus_message *message = NULL;
	int ret = sd_bus_message_new_method_call(session->bus, &message, DRIVER,
						 "UpdateActivationEnvironment");
	ret = ret < 0 ? ret : sd_bus_message_open_container(message, 'a', "{ss}");
	for (uint32_t i = 0; ret >= 0 && i < session->count; i++) {
		const struct variable *variable = &session->variables[i];
		const char *value = session->ending ? older(variable) : variable->value;
		if (is_told(session, variable)) {
			/* The bus knows no way to unset. */
			ret = sd_bus_message_append(message, "{ss}", variable->name,
						    value != NULL ? value : "");
		}
	}
	ret = ret < 0 ? ret : sd_bus_message_close_container(message);
	call(session, message, ret, "D-Bus");
}

/* Whose session is it, if not ours? assignment: of the manager's environment. */
static bool is_other_display(struct gp_session *session, const char *assignment)
{
	size_t len = strcspn(assignment, "=");
	bool display = strncmp(assignment, "WAYLAND_DISPLAY=", len + 1) == 0 ||
		       strncmp(assignment, "DISPLAY=", len + 1) == 0;
	const struct variable *variable = find(session, assignment, len);
	if (!display || assignment[len + 1] == '\0' ||
	    (variable != NULL && strcmp(variable->value, assignment + len + 1) == 0)) {
		return false;
	}
	char escaped[128];
	br_log(session->config.take_over ? BR_LOG_DEBUG : BR_LOG_INFO,
	       "guest: session: it has %s already%s",
	       br_log_escape(escaped, sizeof(escaped), assignment, strlen(assignment)),
	       session->config.take_over ? "" : " and keeps it (--session on takes it over)");
	return true;
}

/* One of the manager's variables. Returns true if it shows that the session is another display's. */
static bool look_at(struct gp_session *session, const char *assignment)
{
	size_t len = strcspn(assignment, "=");
	struct variable *variable = find(session, assignment, len);
	if (assignment[len] != '=') {
		return false;
	}
	if (variable != NULL) {
		bool same = strcmp(variable->value, assignment + len + 1) == 0;
		variable->lost = !same && (session->ending || variable->weak);
	}
	if (variable != NULL && !session->ending) {
		free(variable->before);
		variable->before = strdup(assignment + len + 1);
	}
	return !session->ending && is_other_display(session, assignment);
}

/* Returns 1 if the session is another display's, 0 if not, -errno. */
static int read_environment(struct gp_session *session, sd_bus_message *message)
{
	const char *assignment;
	bool other = false;
	int ret = sd_bus_message_enter_container(message, 'v', "as");
	ret = ret < 0 ? ret : sd_bus_message_enter_container(message, 'a', "s");
	while (ret >= 0 && (ret = sd_bus_message_read_basic(message, 's', &assignment)) > 0) {
		other = look_at(session, assignment) || other;
	}
	return ret < 0 ? ret : other;
}

/* What the manager's environment is; userdata: the session. Then the managers are told. */
static int handle_environment(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct gp_session *session = userdata;
	(void)error;
	session->has_systemd = !sd_bus_message_is_method_error(message, NULL);
	for (uint32_t i = 0; session->ending && session->has_systemd && i < session->count; i++) {
		/* Until it is seen to be as we have set it. */
		session->variables[i].lost = true;
	}
	int ret = session->has_systemd ? read_environment(session, message) : 0;
	if (ret < 0) {
		log_failure("systemd's user manager", NULL, ret);
		session->has_systemd = false;
	}
	session->pending--;
	if (ret > 0 && !session->config.take_over) {
		session->answered = true;
		return 0;
	}
	session->told = true;
	/* A bus that starts programs by systemd passes on to it what it is told: systemd's turn is after that,
	 * or what is unset would be back, empty. */
	tell_bus(session);
	if (session->has_systemd) {
		tell_systemd(session);
	}
	session->answered = session->pending == 0;
	return 0;
}

static void close_bus(struct gp_session *session)
{
	if (session->source != NULL) {
		wl_event_source_remove(session->source);
	}
	if (session->timer != NULL) {
		wl_event_source_remove(session->timer);
	}
	session->source = session->timer = NULL;
	session->bus = sd_bus_close_unref(session->bus);
}

/* Ask for the environment; without systemd (nobody is to start it) the answer is an error. */
static int open_bus(struct gp_session *session, uint64_t time_us)
{
	sd_bus_message *message = NULL;
	session->answered = false;
	session->pending = 0;
	session->end_us = now_us() + time_us;
	int ret = sd_bus_open_user_with_description(&session->bus, "causeway-guest");
	if (ret < 0) {
		session->bus = NULL;
		br_log(BR_LOG_DEBUG, "guest: session: no bus: %s", strerror(-ret));
		return ret;
	}
	ret = sd_bus_message_new_method_call(session->bus, &message, "org.freedesktop.systemd1",
					     "/org/freedesktop/systemd1",
					     "org.freedesktop.DBus.Properties", "Get");
	ret = ret < 0 ? ret
		      : sd_bus_message_append(message, "ss", "org.freedesktop.systemd1.Manager",
					      "Environment");
	ret = ret < 0 ? ret : sd_bus_message_set_auto_start(message, false);
	ret = ret < 0 ? ret
		      : sd_bus_call_async(session->bus, NULL, message, handle_environment, session,
					  UINT64_MAX);
	sd_bus_message_unref(message);
	session->pending = ret >= 0;
	return ret;
}

/* Returns > 0 if there may be more to do at once, 0 if not, -errno if the bus is gone. */
static int process(struct gp_session *session)
{
	int ret = 1;
	for (unsigned i = 0; i < MAX_PROCESSED && ret > 0 && !session->answered; i++) {
		ret = sd_bus_process(session->bus, NULL);
	}
	return ret;
}

static void advance(struct gp_session *session);

static int handle_readable(int fd, uint32_t mask, void *data)
{
	(void)fd;
	(void)mask;
	advance(data);
	return 0;
}

static int handle_time(void *data)
{
	advance(data);
	return 0;
}

/* The socket may be another one each time, as long as addresses are tried. */
static int watch(struct gp_session *session, bool more)
{
	uint64_t now = now_us();
	uint64_t left_us = session->end_us > now ? session->end_us - now : 0;
	int events = sd_bus_get_events(session->bus), fd = sd_bus_get_fd(session->bus);
	if (events < 0 || fd < 0) {
		return -ECONNRESET;
	}
	if (session->source != NULL) {
		wl_event_source_remove(session->source);
	}
	session->source = wl_event_loop_add_fd(session->config.loop, fd,
					       (events & POLLIN ? WL_EVENT_READABLE : 0u) |
						       (events & POLLOUT ? WL_EVENT_WRITABLE : 0u),
					       handle_readable, session);
	if (session->timer == NULL) {
		session->timer =
			wl_event_loop_add_timer(session->config.loop, handle_time, session);
	}
	if (session->source == NULL || session->timer == NULL) {
		return -ENOMEM;
	}
	(void)wl_event_source_timer_update(session->timer, more ? 1 : (int)(left_us / 1000) + 1);
	return 0;
}

static void advance(struct gp_session *session)
{
	int ret = process(session);
	if (ret >= 0 && !session->answered) {
		ret = now_us() >= session->end_us ? -ETIMEDOUT : watch(session, ret > 0);
	}
	if (ret < 0) {
		log_failure("D-Bus", NULL, ret);
	}
	if (ret < 0 || session->answered) {
		close_bus(session);
		session->config.done(session->config.data);
	}
}

/* The loop has ended: nobody else is kept waiting. */
static void take_back(struct gp_session *session)
{
	uint64_t now;
	int ret = open_bus(session, END_US);
	while (ret >= 0 && !session->answered && (now = now_us()) < session->end_us) {
		ret = process(session);
		if (ret == 0) {
			ret = sd_bus_wait(session->bus, session->end_us - now);
		}
	}
	if (ret >= 0 && !session->answered) {
		br_log(BR_LOG_WARN, "guest: session: no answer; it may still name this display");
	}
	close_bus(session);
}

static bool copy_variables(struct gp_session *session, const struct gp_variable *variables,
			   uint32_t count)
{
	for (uint32_t i = 0; i < count && i < GP_MAX_VARIABLES; i++) {
		struct variable *copy = &session->variables[session->count];
		const char *own = variables[i].weak ? getenv(variables[i].name) : NULL;
		if (own != NULL && own[0] != '\0' && strcmp(own, variables[i].value) != 0) {
			continue;
		}
		*copy = (struct variable){
			.name = strdup(variables[i].name),
			.value = strdup(variables[i].value),
			.weak = variables[i].weak,
			.stays = variables[i].stays,
		};
		session->count++;
		if (copy->name == NULL || copy->value == NULL) {
			return false;
		}
	}
	return true;
}

/* Without systemd nothing else tells of another display. */
static bool own_environment_is_others(struct gp_session *session)
{
	static const char *const names[] = {"WAYLAND_DISPLAY", "DISPLAY"};
	bool others = false;
	for (unsigned i = 0; i < 2; i++) {
		char *text = NULL;
		const char *value = getenv(names[i]);
		if (value != NULL && asprintf(&text, "%s=%s", names[i], value) >= 0) {
			others = is_other_display(session, text) || others;
			free(text);
		}
	}
	return others && !session->config.take_over;
}

int gp_session_create(const struct gp_session_config *config, const struct gp_variable *variables,
		      uint32_t count, struct gp_session **ret_session)
{
	struct gp_session *session = calloc(1, sizeof(*session));
	if (session == NULL) {
		return -ENOMEM;
	}
	session->config = *config;
	if (!copy_variables(session, variables, count)) {
		gp_session_destroy(session);
		return -ENOMEM;
	}
	*ret_session = session;
	if (own_environment_is_others(session) || open_bus(session, ANSWER_US) < 0) {
		close_bus(session);
		config->done(config->data);
	} else {
		advance(session);
	}
	return 0;
}

void gp_session_destroy(struct gp_session *session)
{
	if (session == NULL) {
		return;
	}
	close_bus(session);
	if (session->told) {
		session->ending = true;
		take_back(session);
	}
	for (uint32_t i = 0; i < session->count; i++) {
		free(session->variables[i].name);
		free(session->variables[i].value);
		free(session->variables[i].before);
	}
	free(session);
}

static void check_bus(void)
{
	sd_bus *bus = NULL;
	int ret = sd_bus_open_user(&bus);
	if (ret < 0) {
		printf("without  session bus: %s: programs that D-Bus or systemd start are not "
		       "told "
		       "WAYLAND_DISPLAY; the package dbus-user-session has one\n",
		       strerror(-ret));
	} else {
		printf("ok       session bus\n");
	}
	sd_bus_close_unref(bus);
}

#else

int gp_session_create(const struct gp_session_config *config, const struct gp_variable *variables,
		      uint32_t count, struct gp_session **ret_session)
{
	(void)variables;
	(void)count;
	*ret_session = NULL;
	br_log(BR_LOG_DEBUG, "guest: session: built without libsystemd: it is told nothing");
	config->done(config->data);
	return 0;
}

void gp_session_destroy(struct gp_session *session)
{
	(void)session;
}

static void check_bus(void)
{
	printf("without  session bus: built without libsystemd: programs that D-Bus or systemd "
	       "start "
	       "are not told WAYLAND_DISPLAY\n");
}

#endif

void gp_session_check(void)
{
	static const char *const portal[] = {
		"/usr/share/dbus-1/services/org.freedesktop.portal.Desktop.service",
		"/usr/local/share/dbus-1/services/org.freedesktop.portal.Desktop.service", NULL};
	static const char *const backends[] = {
		"/usr/share/xdg-desktop-portal/portals/*.portal",
		"/usr/local/share/xdg-desktop-portal/portals/*.portal", NULL};
	check_bus();
	if (!gp_check_has_file(portal) || !gp_check_has_file(backends)) {
		printf("without  desktop portals (file dialogs of sandboxed programs, dark mode): "
		       "the packages xdg-desktop-portal and xdg-desktop-portal-gtk\n");
	} else {
		printf("ok       desktop portals\n");
	}
}

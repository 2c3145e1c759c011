/* SPDX-License-Identifier: MIT
 *
 * What a guest is offered without being asked about: a fixed list. A new protocol has to get a line in policy.txt,
 * with a reason, and one here.
 */
#include <string.h>

#include "policy.h"
#include "tables.h"
#include "test.h"

/* Those behind the empty line may be missing: not every system has their XML. */
static const char *const offered[] = {
	"ext_background_effect_manager_v1",
	"ext_idle_notifier_v1",
	"wl_compositor",
	"wl_data_device_manager",
	"wl_fixes",
	"wl_output",
	"wl_seat",
	"wl_shm",
	"wl_subcompositor",
	"wp_alpha_modifier_v1",
	"wp_color_manager_v1",
	"wp_color_representation_manager_v1",
	"wp_commit_timing_manager_v1",
	"wp_content_type_manager_v1",
	"wp_cursor_shape_manager_v1",
	"wp_fifo_manager_v1",
	"wp_fractional_scale_manager_v1",
	"wp_image_description_reference_v1",
	"wp_pointer_warp_v1",
	"wp_presentation",
	"wp_single_pixel_buffer_manager_v1",
	"wp_tearing_control_manager_v1",
	"wp_viewporter",
	"xdg_activation_v1",
	"xdg_system_bell_v1",
	"xdg_toplevel_drag_manager_v1",
	"xdg_toplevel_icon_manager_v1",
	"xdg_toplevel_tag_manager_v1",
	"xdg_wm_base",
	"xdg_wm_dialog_v1",
	"zwp_idle_inhibit_manager_v1",
	"zwp_input_timestamps_manager_v1",
	"zwp_keyboard_shortcuts_inhibit_manager_v1",
	"zwp_linux_dmabuf_v1",
	"zwp_pointer_constraints_v1",
	"zwp_pointer_gestures_v1",
	"zwp_primary_selection_device_manager_v1",
	"zwp_relative_pointer_manager_v1",
	"zwp_tablet_manager_v1",
	"zwp_tablet_manager_v2",
	"zwp_text_input_manager_v1",
	"zwp_text_input_manager_v3",
	"zxdg_decoration_manager_v1",
	"zxdg_exporter_v1",
	"zxdg_exporter_v2",
	"zxdg_importer_v1",
	"zxdg_importer_v2",
	"zxdg_output_manager_v1",

	"gtk_primary_selection_device_manager",
	"org_kde_kwin_blur_manager",
	"org_kde_kwin_contrast_manager",
	"org_kde_kwin_server_decoration_manager",
	"org_kde_kwin_slide_manager",
	"zwp_text_input_manager_v2",
};

static bool is_listed(const char *name)
{
	for (size_t i = 0; i < sizeof(offered) / sizeof(offered[0]); i++) {
		if (strcmp(offered[i], name) == 0) {
			return true;
		}
	}
	return false;
}

TEST(nothing_else_is_offered)
{
	struct hr_policy *policy = hr_policy_create("vm");
	for (uint16_t i = 0; i < br_iface_count; i++) {
		if (hr_policy_version(policy, i, UINT32_MAX) != 0 &&
		    !is_listed(br_ifaces[i].name)) {
			FAIL("%s is offered to guests by default: is that meant? Then list it "
			     "here; if not, make it privileged or hidden in policy.txt",
			     br_ifaces[i].name);
		}
	}
	hr_policy_destroy(policy);
}

TEST(all_of_it_is_offered)
{
	struct hr_policy *policy = hr_policy_create("vm");
	for (size_t i = 0; i < sizeof(offered) / sizeof(offered[0]); i++) {
		uint16_t iface = br_iface_find(offered[i]);
		if (iface != BR_IFACE_ANY && hr_policy_version(policy, iface, UINT32_MAX) == 0) {
			FAIL("%s is not offered any more", offered[i]);
		}
	}
	hr_policy_destroy(policy);
}

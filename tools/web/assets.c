// SPDX-License-Identifier: MIT
// The page's files, which the assembler puts into the program. Make runs in the checkout's root.
#include "tools/web/request.h"

#include <string.h>

#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".balign 16\n" #symbol ":\n"                                                           \
            ".incbin \"" file "\"\n" #symbol "_end:\n"                                             \
            ".popsection\n");                                                                      \
    extern const char symbol[] __attribute__((visibility("hidden")));                              \
    extern const char symbol##_end[] __attribute__((visibility("hidden")))

EMBED(web_asset_page, "tools/web/page/index.html");
EMBED(web_asset_fleet, "tools/web/page/fleet.html");
EMBED(web_asset_fleet_script, "tools/web/page/fleet.js");
EMBED(web_asset_style, "tools/web/page/style.css");
EMBED(web_asset_script, "tools/web/page/app.js");
EMBED(web_asset_triggers, "tools/web/page/triggers.js");
EMBED(web_asset_login, "tools/web/page/login.html");
EMBED(web_asset_login_script, "tools/web/page/login.js");
EMBED(web_asset_icon, "tools/web/page/favicon.svg");

/** What "/" is with a fleet. */
static const char fleet_page[] = "/fleet.html";

static const struct asset {
    const char *path, *type;
    const char *bytes, *end;
} assets[] = {
    {"/", "text/html; charset=utf-8", web_asset_page, web_asset_page_end},
    {fleet_page, "text/html; charset=utf-8", web_asset_fleet, web_asset_fleet_end},
    {"/fleet.js", "text/javascript; charset=utf-8", web_asset_fleet_script,
     web_asset_fleet_script_end},
    {"/style.css", "text/css; charset=utf-8", web_asset_style, web_asset_style_end},
    {"/app.js", "text/javascript; charset=utf-8", web_asset_script, web_asset_script_end},
    {"/triggers.js", "text/javascript; charset=utf-8", web_asset_triggers, web_asset_triggers_end},
    {"/login", "text/html; charset=utf-8", web_asset_login, web_asset_login_end},
    {"/login.js", "text/javascript; charset=utf-8", web_asset_login_script,
     web_asset_login_script_end},
    {"/favicon.svg", "image/svg+xml", web_asset_icon, web_asset_icon_end},
    {"/favicon.ico", "image/svg+xml", web_asset_icon, web_asset_icon_end},
};

enum MHD_Result web_asset_answer(struct web_request *request)
{
    const bool is_fleet = request->web->fleet.ops != NULL && strcmp(request->route->path, "/") == 0;
    const char *path = is_fleet ? fleet_page : request->route->path;
    const struct asset *asset = assets;
    while (strcmp(asset->path, path) != 0)
        asset++;
    struct MHD_Response *response =
        MHD_create_response_from_buffer((size_t)(asset->end - asset->bytes),
                                        (void *)(uintptr_t)asset->bytes, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", asset->type);
    // Only its own files, never in a frame of another site's page.
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
                            "form-action 'self'");
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    return web_reply(request, MHD_HTTP_OK, response);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

static const char *const adjectives[] = {
    "able",  "amber",  "bold",   "brave", "bright", "brisk",  "calm",  "clear", "copper", "crisp",    "deep",
    "eager", "early",  "fair",   "fast",  "fine",   "fond",   "frank", "free",  "fresh",  "gentle",   "glad",
    "good",  "grand",  "green",  "hardy", "high",   "honest", "ivory", "jolly", "keen",   "kind",     "late",
    "light", "lively", "long",   "loyal", "lucky",  "merry",  "mild",  "neat",  "noble",  "northern", "old",
    "open",  "plain",  "proud",  "quick", "quiet",  "rapid",  "ready", "rich",  "round",  "safe",     "salty",
    "sharp", "silent", "silver", "sound", "steady", "swift",  "tall",  "true",  "warm",
};
static const char *const nouns[] = {
    "anchor", "ballast", "barge",   "beacon",   "bollard", "bosun", "bow",     "bridge", "buoy",    "cabin",
    "cable",  "canal",   "capstan", "cargo",    "channel", "chart", "clipper", "coast",  "compass", "coral",
    "crane",  "cutter",  "deck",    "dinghy",   "dock",    "dory",  "ferry",   "fender", "galley",  "gull",
    "harbor", "hatch",   "haven",   "hawser",   "helm",    "hold",  "hull",    "jetty",  "keel",    "ketch",
    "lagoon", "lantern", "lugger",  "mast",     "moor",    "oar",   "pier",    "pilot",  "port",    "quay",
    "reef",   "rudder",  "sail",    "schooner", "shoal",   "sloop", "spar",    "stern",  "tender",  "tide",
    "tiller", "trawler", "tug",     "yawl",
};

#define COUNT(words) (sizeof(words) / sizeof((words)[0]))

void container_name_make(const struct node_state *state, const char *container_id, char *ret, size_t size)
{
    char digits[5] = {0};
    memcpy(digits, container_id, 2);
    size_t adjective = strtoul(digits, NULL, 16) % COUNT(adjectives);
    memcpy(digits, container_id + 2, 2);
    size_t noun = strtoul(digits, NULL, 16) % COUNT(nouns);
    snprintf(ret, size, "%s_%s", adjectives[adjective], nouns[noun]);
    /* The next digits of the id tell apart what shares the words; the whole id is unique. */
    for (int extra = 4; node_state_by_name(state, ret) != NULL && extra <= 60; extra += 4)
        snprintf(ret, size, "%s_%s_%.*s", adjectives[adjective], nouns[noun], extra, container_id + 4);
}

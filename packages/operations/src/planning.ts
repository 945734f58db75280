/**
 * Parameters of the server for the connections of a process that serves this API, measured in
 * docs/performance.md. People ask seldom and for something else each time: a plan for all values
 * reads whole tables for the value that nothing has, so each question is planned with its own. And
 * what they ask about is in memory, where one row by an index costs little more than the next one
 * of a scan; the server's default is that of a disk that turns.
 */
export const planning = { plan_cache_mode: "force_custom_plan", random_page_cost: "1.1" } as const;

/** Where a resource is, by the prefix of its SID; `{A}` is its account. */
const PLACES: Record<string, string> = {
  SM: "/_/api/2010-04-01/Accounts/{A}/Messages/{S}.json",
  MM: "/_/api/2010-04-01/Accounts/{A}/Messages/{S}.json",
  CA: "/_/api/2010-04-01/Accounts/{A}/Calls/{S}.json",
  PN: "/_/api/2010-04-01/Accounts/{A}/IncomingPhoneNumbers/{S}.json",
  AP: "/_/api/2010-04-01/Accounts/{A}/Applications/{S}.json",
  AC: "/_/api/2010-04-01/Accounts/{S}.json",
  MG: "/_/messaging/v1/Services/{S}",
  CF: "/_/api/2010-04-01/Accounts/{A}/Conferences/{S}.json",
  RE: "/_/api/2010-04-01/Accounts/{A}/Recordings/{S}.json",
  VA: "/_/verify/v2/Services/{S}",
  HX: "/_/content/v1/Content/{S}",
  XE: "/_/messaging/v2/Channels/Senders/{S}",
  DG: "/_/events/v1/Sinks/{S}",
  DF: "/_/events/v1/Subscriptions/{S}",
};

export function resourcePath(sid: string, account: string): string | null {
  const place = PLACES[sid.slice(0, 2)];
  return place?.replace("{A}", account).replace("{S}", sid) ?? null;
}

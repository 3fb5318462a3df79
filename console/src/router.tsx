// The addresses of the console: `/` is the wall of phones, everything else is below `/console/`.

import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { App } from "./app";
import { Phones } from "./phones/wall";

/** Text of the query that a view understands; anything else is dropped. */
const texts =
  <N extends string>(...names: N[]) =>
  (search: Record<string, unknown>) => {
    const kept: Partial<Record<N, string>> = {};
    for (const name of names) {
      const value = search[name];
      if (value !== undefined && value !== "") kept[name] = String(value);
    }
    return kept;
  };

const root = createRootRoute({ component: App, notFoundComponent: () => <p>Nothing is here.</p> });
const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: Phones,
  validateSearch: texts("open"),
});
const phones = createRoute({
  getParentRoute: () => root,
  path: "/console",
  component: Phones,
  validateSearch: texts("open"),
});
const activity = createRoute({
  getParentRoute: () => root,
  path: "/console/activity",
  component: lazyRouteComponent(() => import("./activity/activity"), "Activity"),
  validateSearch: texts("kind", "text", "sid"),
});
const deadLetters = createRoute({
  getParentRoute: () => root,
  path: "/console/dead-letters",
  component: lazyRouteComponent(() => import("./activity/dead"), "DeadLetters"),
});
const numbers = createRoute({
  getParentRoute: () => root,
  path: "/console/numbers",
  component: lazyRouteComponent(() => import("./resources/numbers"), "Numbers"),
});
const messages = createRoute({
  getParentRoute: () => root,
  path: "/console/messages",
  component: lazyRouteComponent(() => import("./resources/messages"), "Messages"),
  validateSearch: texts("to", "from"),
});
const resources = createRoute({
  getParentRoute: () => root,
  path: "/console/resources",
  component: lazyRouteComponent(() => import("./resources/explorer"), "Explorer"),
  validateSearch: texts("at"),
});
const debug = createRoute({
  getParentRoute: () => root,
  path: "/console/debugger",
  component: lazyRouteComponent(() => import("./debugger"), "Debugger"),
  validateSearch: texts("code"),
});
const mail = createRoute({
  getParentRoute: () => root,
  path: "/console/mail",
  component: lazyRouteComponent(() => import("./mail"), "MailView"),
  validateSearch: texts("box", "id"),
});
const playground = createRoute({
  getParentRoute: () => root,
  path: "/console/playground",
  component: lazyRouteComponent(() => import("./twiml/playground"), "Playground"),
});
const setUp = createRoute({
  getParentRoute: () => root,
  path: "/console/set-up",
  component: lazyRouteComponent(() => import("./setup"), "SetUp"),
});

/** Path, name, and what a role needs to see it; phones and mailboxes are known by their addresses
 *  alone, which not everybody who reads sees. */
export const VIEWS = [
  ["/", "Phones", "bodies"],
  ["/console/activity", "Activity", "read"],
  ["/console/messages", "Messages", "read"],
  ["/console/mail", "Mail", "bodies"],
  ["/console/numbers", "Numbers", "read"],
  ["/console/resources", "Resources", "read"],
  ["/console/playground", "TwiML", "change"],
  ["/console/debugger", "Debugger", "read"],
  ["/console/dead-letters", "Dead letters", "read"],
  ["/console/set-up", "Set-up", "nothing"],
] as const;

export const router = createRouter({
  routeTree: root.addChildren([
    home,
    phones,
    activity,
    deadLetters,
    numbers,
    messages,
    resources,
    debug,
    mail,
    playground,
    setUp,
  ]),
  // Queries are plain text: numbers begin with a plus, and nothing else is a number.
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(search)) {
      if (typeof value === "string" && value !== "") query.set(name, value);
    }
    const text = query.toString();
    return text ? `?${text}` : "";
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

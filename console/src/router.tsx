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
const setUp = createRoute({
  getParentRoute: () => root,
  path: "/console/set-up",
  component: lazyRouteComponent(() => import("./setup"), "SetUp"),
});

export const VIEWS = [
  ["/", "Phones", "p"],
  ["/console/activity", "Activity", "a"],
  ["/console/messages", "Messages", "m"],
  ["/console/numbers", "Numbers", "n"],
  ["/console/resources", "Resources", "r"],
  ["/console/debugger", "Debugger", "d"],
  ["/console/dead-letters", "Dead letters", "l"],
  ["/console/set-up", "Set-up", "s"],
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

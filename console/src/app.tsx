// The frame around every view: navigation, the state of the connection, the palette.

import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Button } from "react-aria-components";
import { Refusal, signOut } from "./api";
import { refresh, start, useLive } from "./live";
import { Palette } from "./palette";
import { VIEWS } from "./router";
import { SESSION, sees, useSession } from "./session";
import { SignIn } from "./sign-in";
import { Problem } from "./ui";

const THEME = "offhook.theme";

/** Dark or light, as the system has it until somebody chooses. */
function Theme() {
  const [theme, setTheme] = useState(localStorage.getItem(THEME));
  useEffect(() => {
    if (theme) {
      document.documentElement.dataset.theme = theme;
      localStorage.setItem(THEME, theme);
    }
  }, [theme]);
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return (
    <Button className="quiet" onPress={() => setTheme(dark ? "light" : "dark")}>
      {dark ? "Light" : "Dark"}
    </Button>
  );
}

function Connection() {
  const { connected, started } = useLive();
  const word = connected ? "live" : started ? "reconnecting…" : "connecting…";
  return (
    <span className={connected ? "link up" : "link"} role="status">
      {word}
    </span>
  );
}

export function App() {
  const client = useQueryClient();
  const go = useNavigate();
  const { pathname } = useLocation();
  const session = useSession();
  const reads = sees(session.data, "read");
  useEffect(() => {
    if (!reads) return;
    const stop = new AbortController();
    const unwatch = refresh(client);
    start(stop.signal, () => void client.resetQueries({ queryKey: SESSION }));
    return () => {
      stop.abort();
      unwatch();
    };
  }, [client, reads]);
  const views = VIEWS.filter(([, , need]) => sees(session.data, need));
  // Who may not see this view begins where there is something.
  const here = pathname.replace(/^\/console\/?$/, "/");
  const is = ([to]: (typeof VIEWS)[number]) => to === here;
  const isHidden = session.isSuccess && VIEWS.some(is) && !views.some(is);
  const first = views[0]?.[0];
  useEffect(() => {
    if (isHidden && first) void go({ to: first });
  }, [isHidden, first, go]);

  if (session.error instanceof Refusal && session.error.status === 401) return <SignIn />;
  return (
    <>
      <a className="skip" href="#main">
        Skip to the view
      </a>
      <header className="top">
        <Link to="/" className="brand">
          <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
            <rect width="32" height="32" rx="8" fill="var(--accent-strong)" />
            <path
              d="M8 13c4-4.500 12-4.500 16 0l-2.600 3.200c-1-.9-2-1.500-3.200-1.900v-1.800h-4.400v1.800c-1.200.4-2.200 1-3.200 1.900z"
              fill="#fff"
            />
            <circle cx="16" cy="21.500" r="3.200" fill="#ffc861" />
          </svg>
          Offhook
        </Link>
        <nav aria-label="Views">
          {views.map(([to, name]) => (
            <Link key={to} to={to} activeOptions={{ exact: true, includeSearch: false }}>
              {name}
            </Link>
          ))}
        </nav>
        <div className="tools">
          {reads ? <Connection /> : null}
          <Palette />
          <Theme />
          {session.data?.signed_in ? (
            <Button
              className="quiet"
              onPress={async () => {
                await signOut();
                location.reload();
              }}
            >
              Sign out {session.data.user}
            </Button>
          ) : null}
        </div>
      </header>
      <main id="main">
        <Problem error={session.error} />
        {session.isSuccess && !isHidden ? <Outlet /> : null}
      </main>
    </>
  );
}

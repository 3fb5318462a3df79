// The frame around every view: navigation, the state of the connection, the palette.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Button } from "react-aria-components";
import { isSignedIn, loadEnv, Refusal, signOut } from "./api";
import { refresh, start, useLive } from "./live";
import { Palette } from "./palette";
import { VIEWS } from "./router";
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
  const env = useQuery({
    queryKey: ["env"],
    queryFn: loadEnv,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const ready = env.isSuccess;
  useEffect(() => {
    if (!ready) return;
    const stop = new AbortController();
    const unwatch = refresh(client);
    start(stop.signal);
    return () => {
      stop.abort();
      unwatch();
    };
  }, [client, ready]);

  const refused = env.error instanceof Refusal ? env.error : null;
  if (refused && (refused.status === 401 || refused.status === 403)) {
    return <SignIn why={isSignedIn() ? refused.message : null} />;
  }
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
          {VIEWS.map(([to, name]) => (
            <Link key={to} to={to} activeOptions={{ exact: true, includeSearch: false }}>
              {name}
            </Link>
          ))}
        </nav>
        <div className="tools">
          <Connection />
          <Palette />
          <Theme />
          {isSignedIn() ? (
            <Button
              className="quiet"
              onPress={() => {
                signOut();
                location.reload();
              }}
            >
              Sign out
            </Button>
          ) : null}
        </div>
      </header>
      <main id="main">
        <Problem error={env.error} />
        {ready ? <Outlet /> : null}
      </main>
    </>
  );
}

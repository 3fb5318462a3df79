import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Refusal } from "./api";
import { router } from "./router";
import { SESSION } from "./session";
import "./style.css";

/** A session that is over is asked for again. */
const forget = (error: Error) => {
  if (!(error instanceof Refusal && error.status === 401)) return;
  void client.resetQueries({ queryKey: SESSION });
};

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, { queryKey }) => queryKey[0] !== SESSION[0] && forget(error),
  }),
  defaultOptions: {
    queries: {
      staleTime: 1000,
      // What was refused stays refused; a server that is away comes back.
      retry: (count, error) => !(error instanceof Refusal && error.status < 500) && count < 5,
    },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}

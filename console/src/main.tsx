import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Refusal } from "./api";
import { router } from "./router";
import "./style.css";

const client = new QueryClient({
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

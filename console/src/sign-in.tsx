// An instance that others can reach asks for the main account, as its API does.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { signIn } from "./api";

export function SignIn({ why }: { why: string | null }) {
  const client = useQueryClient();
  const [sid, setSid] = useState("");
  const [token, setToken] = useState("");
  return (
    <main className="sign-in">
      <h1>Offhook</h1>
      <p>
        This instance is reachable by others: sign in with the main account. <code>offhook up</code>{" "}
        printed both when it started.
      </p>
      <Form
        onSubmit={(event) => {
          event.preventDefault();
          signIn(sid.trim(), token.trim());
          client.invalidateQueries();
        }}
      >
        <TextField value={sid} onChange={setSid} isRequired autoComplete="username">
          <Label>Account SID</Label>
          <Input />
        </TextField>
        <TextField
          value={token}
          onChange={setToken}
          isRequired
          type="password"
          autoComplete="current-password"
        >
          <Label>Auth token</Label>
          <Input />
        </TextField>
        {why ? (
          <p className="problem" role="alert">
            {why}
          </p>
        ) : null}
        <Button type="submit">Sign in</Button>
      </Form>
    </main>
  );
}

// An instance that others can reach asks who it is.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { signIn } from "./api";
import { SESSION } from "./session";
import { Problem } from "./ui";

export function SignIn() {
  const client = useQueryClient();
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<unknown>(null);
  const enter = async () => {
    try {
      const session = await signIn(user.trim(), password);
      // What somebody else saw here is forgotten.
      client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== SESSION[0] });
      client.setQueryData(SESSION, session);
    } catch (failure) {
      setPassword("");
      setError(failure);
    }
  };
  return (
    <main className="sign-in">
      <h1>Offhook</h1>
      <p>
        This instance is reachable by others. Its owner adds users with{" "}
        <code>offhook user add NAME --role ROLE</code>.
      </p>
      <Form
        onSubmit={(event) => {
          event.preventDefault();
          void enter();
        }}
      >
        <TextField value={user} onChange={setUser} isRequired autoComplete="username">
          <Label>User</Label>
          <Input />
        </TextField>
        <TextField
          value={password}
          onChange={setPassword}
          isRequired
          type="password"
          autoComplete="current-password"
        >
          <Label>Password</Label>
          <Input />
        </TextField>
        <Problem error={error} isPlain />
        <Button type="submit">Sign in</Button>
      </Form>
    </main>
  );
}

import sendgrid from "@sendgrid/mail";

sendgrid.setApiKey(process.env.SENDGRID_API_KEY ?? "SG.key");
try {
  const [response] = await sendgrid.send({
    from: "shop@example.com",
    to: "customer@example.com",
    subject: process.argv[2],
    text: "Thank you for your order.",
  });
  console.log("reached", response.statusCode);
} catch (error) {
  if (!error.response) throw error;
  console.log("reached", error.code, JSON.stringify(error.response.body).slice(0, 60));
}

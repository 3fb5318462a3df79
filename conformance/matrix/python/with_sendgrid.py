import os
import sys

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Mail

mail = Mail(
    from_email="shop@example.com",
    to_emails="customer@example.com",
    subject=sys.argv[1],
    plain_text_content="Thank you for your order.",
)
try:
    response = SendGridAPIClient(os.environ.get("SENDGRID_API_KEY", "SG.key")).send(mail)
    print("reached", response.status_code)
except HTTPError as refused:
    print("reached", refused.status_code, refused.body[:60].decode())

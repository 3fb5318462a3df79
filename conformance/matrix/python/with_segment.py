import sys

import segment.analytics as analytics
from segment.analytics.request import APIError

analytics.write_key = "write-key"
analytics.sync_mode = True
analytics.max_retries = 0
try:
    analytics.track("customer-1", sys.argv[1], {"plan": "starter"})
    analytics.flush()
    print("reached 200")
except APIError as refused:
    print("reached", refused.status, str(refused)[:60])

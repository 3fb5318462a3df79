require "faraday"
require "json"

sid = ENV.fetch("TWILIO_ACCOUNT_SID")
connection = Faraday.new("https://api.twilio.com") do |faraday|
  faraday.request :basic_auth, sid, ENV.fetch("TWILIO_AUTH_TOKEN")
  faraday.request :url_encoded
  faraday.response :raise_error
  faraday.adapter Faraday.default_adapter
end
response = connection.post(
  "/2010-04-01/Accounts/#{sid}/Messages.json",
  "From" => ENV.fetch("TWILIO_PHONE_NUMBER"), "To" => "+15005550006", "Body" => ARGV[0]
)
puts "reached #{JSON.parse(response.body)["sid"]}"

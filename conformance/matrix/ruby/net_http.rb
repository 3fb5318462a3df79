require "json"
require "net/http"

sid = ENV.fetch("TWILIO_ACCOUNT_SID")
uri = URI("https://api.twilio.com/2010-04-01/Accounts/#{sid}/Messages.json")
request = Net::HTTP::Post.new(uri)
request.basic_auth(sid, ENV.fetch("TWILIO_AUTH_TOKEN"))
request.set_form_data(
  "From" => ENV.fetch("TWILIO_PHONE_NUMBER"), "To" => "+15005550006", "Body" => ARGV[0]
)
response = Net::HTTP.start(uri.hostname, uri.port, use_ssl: true) { |http| http.request(request) }
response.value
puts "reached #{JSON.parse(response.body)["sid"]}"
